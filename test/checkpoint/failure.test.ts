import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Checkpoint, Counter, type Snapshot, type TrackableNode } from '../../src/checkpoint/index.ts';
import type { Step } from '../../src/native/contract.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { filesIn, testDirectories } from '../support/directory.ts';
import { hooks } from '../support/reference-addon.ts';

// The engine in plain JavaScript: it can be failed and held at any step of a program.
vi.mock('../../src/native/loader.ts', async () => await import('../support/reference-addon.ts'));

const directory = testDirectories();

const floats = (...data: number[]) =>
  new HostTensor({ dtype: 'float32', shape: [data.length], data: new Float32Array(data) });

beforeEach(() => {
  hooks.beforeStep = undefined;
  hooks.programs.length = 0;
});

const brokenDisk = () => Object.assign(new Error('EIO: the disk is broken'), { code: 'EIO' });

/** Fails the nth step from now on (0-based) of the programs that follow, once. */
function failAt(n: number): { readonly failed: Step | undefined } {
  const state: { failed: Step | undefined } = { failed: undefined };
  let at = 0;
  hooks.beforeStep = (step) => {
    if (at++ !== n) return;
    state.failed = step;
    throw brokenDisk();
  };
  return state;
}

/** Names and contents, to compare a directory before and after. */
const contents = (where: string) =>
  Object.fromEntries(filesIn(where).map((name) => [name, readFileSync(join(where, name)).toString('base64')]));

describe('18: a save that fails', () => {
  it('changes nothing, at whatever step it fails, and the retry saves under the same number', async () => {
    let n = 0;
    for (; ; n++) {
      const where = directory();
      const checkpoint = new Checkpoint({ x: floats(1), y: floats(2) });
      await checkpoint.save(join(where, 'ckpt'));
      const before = contents(where);
      const failing = failAt(n);
      const result = await checkpoint.save(join(where, 'ckpt')).catch((error) => error);
      hooks.beforeStep = undefined;
      if (failing.failed === undefined) break; // The program has no more steps.
      const { op } = failing.failed;
      if (result === join(where, 'ckpt-2')) continue; // Behind the commit nothing fails a save.
      expect(result, op).toMatchObject({ code: 'IO_ERROR' });
      const after = contents(where);
      // The state file's directory could not be synced after its rename: nobody knows what it held before.
      if (after.checkpoint !== before.checkpoint) {
        expect(failing.failed).toMatchObject({ op: expect.stringMatching(/syncDirectory|milestone/) });
        delete after.checkpoint;
        delete before.checkpoint;
      }
      expect(after, `${n}: ${op}`).toEqual(before);
      expect(checkpoint.saveCounter.value).toBe(1);
      expect(await checkpoint.save(join(where, 'ckpt'))).toBe(join(where, 'ckpt-2'));
      expect(existsSync(join(where, 'ckpt-2.index'))).toBe(true);
    }
    expect(n).toBeGreaterThan(8);
  });

  it('leaves no state file where there was none', async () => {
    for (let n = 0; ; n++) {
      const where = directory();
      const failing = failAt(n);
      const error = await new Checkpoint({ x: floats(1) }).save(join(where, 'ckpt')).catch((caught) => caught);
      if (failing.failed === undefined) break;
      if (typeof error === 'string') continue;
      expect(filesIn(where), failing.failed.op).toEqual([]);
    }
  });

  it('of a replaced prefix: the old content up to the rename, the new behind it, always whole', async () => {
    const outcomes = new Set<string>();
    for (let n = 0; ; n++) {
      const where = directory();
      const x = floats(1);
      const checkpoint = new Checkpoint({ x, y: floats(2) });
      const path = await checkpoint.write(join(where, 'x'));
      const before = contents(where);
      x.data[0] = 2;
      const failing = failAt(n);
      const error = await checkpoint.write(path).catch((caught) => caught);
      hooks.beforeStep = undefined;
      if (failing.failed === undefined) break;
      if (typeof error === 'string') continue;
      const replaced = readFileSync(`${path}.index`).toString('base64') !== before['x.index'];
      outcomes.add(String(replaced));
      if (replaced) expect(error.message).toMatch(/had been replaced before that: it holds the new content, whole/);
      else expect(contents(where)).toEqual(before);
      const restored = floats(0);
      (await new Checkpoint({ x: restored, y: floats(0) }).read(path)).assertConsumed();
      expect(restored.data[0]).toBe(replaced ? 2 : 1);
    }
    expect(outcomes).toEqual(new Set(['true', 'false']));
  });

  it('says that a new checkpoint was removed again where it fails behind the rename', async () => {
    const where = directory();
    hooks.beforeStep = (step) => {
      if (step.op === 'publish' && !step.commits) throw brokenDisk();
    };
    const path = join(where, 'ckpt-1');
    await expect(new Checkpoint({ x: floats(1) }).save(join(where, 'ckpt'))).rejects.toThrow(
      `${path} was removed again`,
    );
    expect(filesIn(where)).toEqual([]);
  });

  it('because something in the tree can’t be saved changes nothing either', async () => {
    const where = directory();
    const objects: Record<string, unknown> = { x: floats(1) };
    const checkpoint = new Checkpoint(objects);
    objects.bad = { deep: [3] };
    await expect(checkpoint.save(join(where, 'ckpt'))).rejects.toThrow(
      /checkpoint\["bad"\]\["deep"\]\["0"\] is number/,
    );
    expect(checkpoint.saveCounter.value).toBe(0);
    delete objects.bad;
    expect(await checkpoint.save(join(where, 'ckpt'))).toBe(join(where, 'ckpt-1'));
  });

  it('because the path is the state file’s', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    const handle = checkpoint.beginWrite(join(where, 'checkpoint'), {
      storeSaveCounter: true,
      finish: () => ({ stateFile: { path: join(where, 'checkpoint'), text: '' }, deletePrefixes: [] }),
    });
    await expect(handle.finished).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(filesIn(where)).toEqual([]);
  });
});

describe('behind the commit', () => {
  const request = (where: string) => ({
    storeSaveCounter: true,
    finish: () => ({
      stateFile: { path: join(where, 'checkpoint'), text: 'both' },
      deletePrefixes: [join(where, 'old')],
      stateFileAfterDeletion: 'new alone',
    }),
  });

  it('what was given up goes, index first, and the state file follows', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    await checkpoint.write(join(where, 'old'), { shards: 2 });
    writeFileSync(join(where, 'older.index'), '');
    writeFileSync(join(where, 'old.data-00000-of-00009x'), '');
    const states: string[] = [];
    hooks.beforeStep = (step) => {
      if (step.op === 'unlink') states.push(readFileSync(join(where, 'checkpoint'), 'utf8'));
    };
    await checkpoint.beginWrite(join(where, 'new'), request(where)).finished;
    expect(new Set(states)).toEqual(new Set(['both']));
    const unlinked = hooks.programs.at(-1)!.steps.flatMap((step) => (step.op === 'unlink' ? [step.path] : []));
    expect(unlinked.map((path) => path.slice(where.length + 1))).toEqual([
      'old.index',
      'old.data-00000-of-00002',
      'old.data-00001-of-00002',
    ]);
    expect(filesIn(where)).toEqual([
      'checkpoint',
      'new.data-00000-of-00001',
      'new.index',
      'old.data-00000-of-00009x',
      'older.index',
    ]);
    expect(readFileSync(join(where, 'checkpoint'), 'utf8')).toBe('new alone');
  });

  it('a failure is a warning: the checkpoint stays', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    await checkpoint.write(join(where, 'old'));
    hooks.beforeStep = (step, { blobs }) => {
      if (step.op === 'publish' && Buffer.from(blobs[step.blob]!.bytes).toString() === 'new alone') throw brokenDisk();
    };
    const warnings: string[] = [];
    const handle = checkpoint.beginWrite(join(where, 'new'), {
      ...request(where),
      onWarning: ({ kind }) => warnings.push(kind),
    });
    await handle.finished;
    expect(warnings).toEqual(['stateFile']);
    expect(handle.failure).toBeNull();
    expect(readFileSync(join(where, 'checkpoint'), 'utf8')).toBe('both');
    expect(existsSync(join(where, 'new.index'))).toBe(true);
    // The same where the state file is a program of its own.
    const writeCallbacks = [() => {}];
    await checkpoint.beginWrite(join(where, 'newer'), {
      ...request(where),
      writeCallbacks,
      onWarning: ({ kind }) => warnings.push(kind),
    }).finished;
    expect(existsSync(join(where, 'newer.index'))).toBe(true);
    expect(warnings.filter((kind) => kind === 'stateFile')).toHaveLength(2);
  });
});

describe('22: write callbacks', () => {
  it('see the checkpoint in place, in order, before the state file names it', async () => {
    const where = directory();
    const seen: unknown[] = [];
    const look = (who: string) => (path: string) => {
      seen.push([who, path, existsSync(`${path}.index`), existsSync(join(where, 'checkpoint'))]);
    };
    const writeCallbacks = [look('a'), async (path: string) => look('b')(path)];
    const path = await new Checkpoint({ x: floats(1) }).save(join(where, 'ckpt'), { writeCallbacks });
    expect(seen).toEqual([
      ['a', path, true, false],
      ['b', path, true, false],
    ]);
    expect(writeCallbacks).toHaveLength(2);
    expect(readFileSync(join(where, 'checkpoint'), 'utf8')).toMatch(/ckpt-1/);
  });

  it('that fail take a new checkpoint back; later ones are not called', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    const never = vi.fn();
    const cause = new Error('upload failed');
    const writeCallbacks = [() => Promise.reject(cause), never];
    const error = await checkpoint.save(join(where, 'ckpt'), { writeCallbacks }).catch((caught) => caught);
    expect(error).toMatchObject({ code: 'ABORTED', cause });
    expect(error.message).toMatch(/upload failed .*was removed again/);
    expect(never).not.toHaveBeenCalled();
    expect(filesIn(where)).toEqual([]);
    expect(await checkpoint.save(join(where, 'ckpt'))).toBe(join(where, 'ckpt-1'));
  });

  it('that fail after a replacement leave the new content, and say so', async () => {
    const where = directory();
    const x = floats(1);
    const checkpoint = new Checkpoint({ x });
    const path = await checkpoint.write(join(where, 'x'));
    x.data[0] = 2;
    const fail = () => {
      throw new Error('no');
    };
    await expect(checkpoint.write(path, { writeCallbacks: [fail] })).rejects.toThrow(/holds the new content, whole/);
    const restored = floats(0);
    await new Checkpoint({ x: restored }).read(path);
    expect(restored.data[0]).toBe(2);
  });

  it('and then a state file that fails: the new checkpoint goes, the old state file stays', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    await checkpoint.save(join(where, 'ckpt'));
    const before = contents(where);
    hooks.beforeStep = (step) => {
      if (step.op === 'publish' && step.path.endsWith('checkpoint')) throw brokenDisk();
    };
    const error = await checkpoint.save(join(where, 'ckpt'), { writeCallbacks: [() => {}] }).catch((caught) => caught);
    expect(error).toMatchObject({ code: 'IO_ERROR' });
    expect(contents(where)).toEqual(before);
    expect(checkpoint.saveCounter.value).toBe(1);
  });
});

interface Hold {
  readonly reached: Promise<void>;
  release(): void;
  /** Lets the step fail instead. */
  fail(error: Error): void;
}

/** Holds the program at this step until it is let go. */
function holdAt(matches: (step: Step) => boolean): Hold {
  let release!: () => void;
  let fail!: (error: Error) => void;
  let reach!: () => void;
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const held = new Promise<void>((resolve, reject) => {
    release = resolve;
    fail = reject;
  });
  hooks.beforeStep = (step) => {
    if (!matches(step)) return undefined;
    reach();
    return held;
  };
  return { reached, release, fail };
}

describe('23: asynchronous saves', () => {
  it('return once captured; the next save waits; sync waits', async () => {
    const where = directory();
    const x = floats(1);
    const checkpoint = new Checkpoint({ x });
    const hold = holdAt((step) => step.op === 'publish');
    const path = await checkpoint.save(join(where, 'ckpt'), { enableAsync: true });
    expect(existsSync(`${path}.index`)).toBe(false);
    const second = checkpoint.save(join(where, 'ckpt'));
    await hold.reached;
    expect(hooks.programs).toHaveLength(1);
    hold.release();
    expect(await second).toBe(join(where, 'ckpt-2'));
    await checkpoint.sync();
    expect(existsSync(`${path}.index`)).toBe(true);
  });

  it('copy by default', async () => {
    const checkpoint = new Checkpoint({ x: floats(1) });
    await checkpoint.save(join(directory(), 'ckpt'), { enableAsync: true });
    await checkpoint.sync();
    await checkpoint.save(join(directory(), 'ckpt'));
    expect(hooks.programs.map(({ options }) => options.copy)).toEqual([true, false]);
  });

  it('that fail are raised once: by sync, or by the next save, which then does nothing', async () => {
    for (const raise of ['sync', 'save'] as const) {
      const where = directory();
      const checkpoint = new Checkpoint({ x: floats(1) });
      hooks.beforeStep = (step) => {
        if (step.op === 'publish') throw brokenDisk();
      };
      await checkpoint.save(join(where, 'ckpt'), { enableAsync: true });
      await new Promise((resolve) => setTimeout(resolve, 20));
      hooks.beforeStep = undefined;
      const raised = raise === 'sync' ? checkpoint.sync() : checkpoint.save(join(where, 'ckpt'));
      await expect(raised).rejects.toMatchObject({ code: 'IO_ERROR' });
      await checkpoint.sync();
      expect(filesIn(where)).toEqual([]);
      expect(await checkpoint.save(join(where, 'ckpt'))).toBe(join(where, 'ckpt-1'));
    }
  });

  it('that fail while the next save already waits are raised by that one', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    const hold = holdAt((step) => step.op === 'publish');
    await checkpoint.save(join(where, 'ckpt'), { enableAsync: true });
    await hold.reached;
    const next = checkpoint.save(join(where, 'ckpt'));
    hooks.beforeStep = undefined;
    const failing = checkpoint.sync();
    hold.fail(brokenDisk());
    await expect(next).rejects.toMatchObject({ code: 'IO_ERROR' });
    await failing;
    expect(filesIn(where)).toEqual([]);
    expect(checkpoint.saveCounter.value).toBe(0);
  });

  it('a restore waits for a save of the same objects, also by another Checkpoint', async () => {
    const where = directory();
    const x = floats(1);
    const path = await new Checkpoint({ x }).write(join(where, 'old'));
    x.data[0] = 2;
    const hold = holdAt((step) => step.op === 'write');
    const saving = new Checkpoint({ x }).write(join(where, 'new'));
    await hold.reached;
    const restoring = new Checkpoint({ x }).read(path);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(x.data[0]).toBe(2);
    hold.release();
    await Promise.all([saving, restoring]);
    expect(x.data[0]).toBe(1);
    const y = floats(0);
    await new Checkpoint({ x: y }).read(join(where, 'new'));
    expect(y.data[0]).toBe(2);
  });

  it('whenBusy: skip belongs to the manager', async () => {
    const checkpoint = new Checkpoint({ x: floats(1) });
    await expect(checkpoint.save(join(directory(), 'x'), { whenBusy: 'skip' })).rejects.toThrow(/CheckpointManager/);
  });
});

describe('aborting', () => {
  it('before it begins writes nothing', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    const signal = AbortSignal.abort('why');
    const error = await checkpoint.save(join(where, 'ckpt'), { signal }).catch((caught) => caught);
    expect(error).toMatchObject({ code: 'ABORTED', cause: 'why' });
    expect(filesIn(where)).toEqual([]);
    expect(checkpoint.saveCounter.value).toBe(0);
  });

  it('while it waits for its turn is heard at once', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    const hold = holdAt((step) => step.op === 'write');
    const first = checkpoint.save(join(where, 'ckpt'));
    await hold.reached;
    const controller = new AbortController();
    const second = checkpoint.save(join(where, 'ckpt'), { signal: controller.signal });
    controller.abort();
    await expect(second).rejects.toMatchObject({ code: 'ABORTED' });
    hold.release();
    expect(await first).toBe(join(where, 'ckpt-1'));
    expect(await checkpoint.save(join(where, 'ckpt'))).toBe(join(where, 'ckpt-2'));
  });

  it('works until the index is renamed, and no longer', async () => {
    for (const [op, works] of [
      ['sync', true],
      ['milestone', false],
    ] as const) {
      const where = directory();
      const checkpoint = new Checkpoint({ x: floats(1) });
      const controller = new AbortController();
      const hold = holdAt((step) => step.op === op);
      const saving = checkpoint.save(join(where, 'ckpt'), { signal: controller.signal }).catch((error) => error);
      await hold.reached;
      controller.abort();
      hold.release();
      const result = await saving;
      if (works) expect(result).toMatchObject({ code: 'ABORTED' });
      else expect(result).toBe(join(where, 'ckpt-1'));
      expect(filesIn(where).length > 0).toBe(!works);
    }
  });
});

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
