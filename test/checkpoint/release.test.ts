import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Checkpoint, Counter, type Snapshot, type TrackableNode } from '../../src/checkpoint/index.ts';
import { testDirectories } from '../support/directory.ts';
import { failAt, holdAt, noFaults } from '../support/faults.ts';
import { hooks } from '../support/reference-addon.ts';

// The engine in plain JavaScript: it can be failed and held at any step of a program.
vi.mock('../../src/native/loader.ts', async () => await import('../support/reference-addon.ts'));

const directory = testDirectories();

beforeEach(noFaults);

describe('snapshots', () => {
  function spied(source: Snapshot['source'], options: { prepare?: () => void | Promise<void> } = {}) {
    const identity = {};
    const released = vi.fn();
    const node: TrackableNode = {
      identity,
      description: 'spied',
      prepare: options.prepare,
      values: () => [
        {
          attribute: 'VARIABLE_VALUE',
          dtype: 'float32',
          shape: [1],
          capture: () => ({ source, release: released }),
          destination: { kind: 'replace', assign() {} },
        },
      ],
    };
    return {
      identity,
      released,
      adapters: [{ name: 't', adapt: (v: unknown) => (v === identity ? node : undefined) }],
    };
  }
  const memory = { kind: 'memory', bytes: new Uint8Array(4) } as const;

  it('are released once, when captured', async () => {
    const { identity, released, adapters } = spied(memory);
    const hold = holdAt((step) => step.op === 'publish');
    const checkpoint = new Checkpoint({ identity }, { adapters });
    const handle = checkpoint.beginWrite(join(directory(), 'x'), { storeSaveCounter: false });
    await handle.captured;
    expect(released).toHaveBeenCalledTimes(1);
    hold.release();
    await handle.finished;
    expect(released).toHaveBeenCalledTimes(1);
  });

  it.each([
    ['a failing disk', () => memory, () => failAt(1)],
    ['a rejected source', () => Promise.reject(new Error('device lost')), () => {}],
    ['a source of the wrong size', () => ({ kind: 'memory', bytes: new Uint8Array(3) }) as const, () => {}],
    ['a resizable buffer', () => ({ kind: 'memory', bytes: resizable() }) as const, () => {}],
  ])('are released once, on %s', async (_, source, arrange) => {
    arrange();
    const { identity, released, adapters } = spied(source());
    await expect(new Checkpoint({ identity }, { adapters }).write(join(directory(), 'x'))).rejects.toThrow();
    expect(released).toHaveBeenCalledTimes(1);
  });

  it('a save that waits for nothing is submitted before the call returns', async () => {
    const { identity, adapters } = spied(memory);
    const checkpoint = new Checkpoint({ identity, step: new Counter() }, { adapters });
    const saving = checkpoint.save(join(directory(), 'x'));
    expect(hooks.programs).toHaveLength(1);
    await saving;
  });

  it('prepare() is called before the tree is walked, and waited for', async () => {
    const order: string[] = [];
    const { identity, adapters } = spied(Promise.resolve(memory), {
      prepare: async () => {
        await Promise.resolve();
        order.push('prepared');
      },
    });
    const checkpoint = new Checkpoint({ identity }, { adapters });
    const saving = checkpoint.write(join(directory(), 'x'));
    expect(hooks.programs).toHaveLength(0);
    await saving;
    expect(order).toEqual(['prepared']);
  });
});

function resizable(): Uint8Array {
  const ArrayBufferOf = ArrayBuffer as unknown as new (bytes: number, options: object) => ArrayBuffer;
  return new Uint8Array(new ArrayBufferOf(4, { maxByteLength: 8 }));
}
