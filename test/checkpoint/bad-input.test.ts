import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Checkpoint, type TrackableNode } from '../../src/checkpoint/index.ts';
import { CheckpointError } from '../../src/errors.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { filesIn, testDirectories } from '../support/directory.ts';

const directory = testDirectories();

const floats = () => new HostTensor({ dtype: 'float32', shape: [1], data: new Float32Array(1) });
const refused = (message: RegExp) =>
  expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) });

describe('a Checkpoint of what it can not save', () => {
  it.each([[new Map([['weights', floats()]])], [new Date()], [Promise.resolve({})], [[floats()]]])(
    'refuses %s in the place of named objects: it would save nothing of it',
    (objects) => {
      expect(() => new Checkpoint(objects as unknown as Record<string, unknown>)).toThrow(
        refused(/plain object of named/),
      );
    },
  );

  it.each([[null], [3], [Symbol('options')], ['adapters'], [() => {}]])('refuses %s for options', (options) => {
    expect(() => new Checkpoint({}, options as object)).toThrow(refused(/options must be an object/));
  });

  it.each([[null], [undefined], [5], [Promise.resolve({})], [new Map([['weights', floats()]])]])(
    'refuses %s from checkpointChildren()',
    async (children) => {
      const where = directory();
      const checkpoint = new Checkpoint({ part: { checkpointChildren: () => children } });
      await expect(checkpoint.save(join(where, 'ckpt'))).rejects.toEqual(refused(/must return a plain object/));
      expect(filesIn(where)).toEqual([]);
    },
  );

  it.each([[null], [1], [{}], [{ identity: 1 }]])('refuses %j from an adapter', (node) => {
    const adapters = [{ name: 'test', adapt: () => node as unknown as TrackableNode }];
    expect(() => new Checkpoint({ date: new Date() }, { adapters })).toThrow(refused(/an adapter must return a node/));
  });

  it.each([
    [
      'a getter',
      {
        get weights() {
          throw new RangeError('out of reach');
        },
      },
      /checkpoint\["part"\]/,
    ],
    [
      'checkpointChildren()',
      {
        checkpointChildren() {
          throw new RangeError('out of reach');
        },
      },
      /checkpoint\["part"\]/,
    ],
    [
      'serialize()',
      {
        serialize() {
          throw new RangeError('out of reach');
        },
        deserialize() {},
      },
      /part\/\.ATTRIBUTES/,
    ],
  ])('says which object it was whose %s threw, and keeps what it threw', async (_, part, where) => {
    const checkpoint = new Checkpoint({ part });
    const error = await checkpoint.save(join(directory(), 'ckpt')).catch((thrown) => thrown);
    expect(error).toEqual(refused(where));
    expect(error.message).toMatch(/out of reach/);
    expect(error.cause).toBeInstanceOf(RangeError);
    expect(checkpoint.saveCounter.value).toBe(0);
  });

  it.each([[1n], [Symbol('path')], [{ toString: null }], [null], ['a\0b']])(
    'refuses %s for a prefix',
    async (prefix) => {
      const checkpoint = new Checkpoint({ x: floats() });
      for (const method of ['save', 'write', 'read'] as const) {
        const error = await checkpoint[method](prefix as string).catch((thrown) => thrown);
        expect(error, method).toBeInstanceOf(CheckpointError);
        expect(error, method).toEqual(refused(/the prefix must be a path/));
      }
    },
  );

  it('refuses two values of one object under the same attribute, and names their key', async () => {
    const owner = {};
    const source = { kind: 'memory' as const, bytes: new Uint8Array(1) };
    const destination = { kind: 'memory' as const, bytes: source.bytes };
    const value = { attribute: 'a', dtype: 'uint8' as const, shape: [1], capture: () => ({ source }), destination };
    const node = { identity: owner, description: 'owner', values: () => [value, value] };
    const adapter = { name: 'test', adapt: (given: unknown) => (given === owner ? node : undefined) };
    const checkpoint = new Checkpoint({ owner }, { adapters: [adapter] });
    await expect(checkpoint.write(join(directory(), 'x'))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      key: 'owner/.ATTRIBUTES/a',
    });
  });
});

describe('an aborted save', () => {
  it('names its path and the reason of the signal, also where the engine was at work already', async () => {
    const where = directory();
    const tensor = HostTensor.allocate({ dtype: 'uint8', shape: [32 << 20] });
    const checkpoint = new Checkpoint({ tensor });
    const abort = new AbortController();
    const saving = checkpoint.save(join(where, 'ckpt'), { signal: abort.signal });
    const reason = new Error('enough');
    abort.abort(reason);
    const error = await saving.catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'ABORTED', path: join(where, 'ckpt-1'), cause: reason });
    expect(filesIn(where)).toEqual([]);
  });
});
