import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openBundle } from '../../src/bundle/index.ts';
import { Checkpoint, Counter } from '../../src/checkpoint/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { filesIn, testDirectories } from '../support/directory.ts';

const directory = testDirectories();

const floats = (...data: number[]) =>
  new HostTensor({ dtype: 'float32', shape: [data.length], data: new Float32Array(data) });

class Epoch {
  epoch: number;
  constructor(epoch: number) {
    this.epoch = epoch;
  }
  serialize(): string {
    return JSON.stringify({ epoch: this.epoch, note: 'é\u{1f600}' });
  }
  deserialize(text: string): void {
    this.epoch = JSON.parse(text).epoch;
  }
}

function state(value: number) {
  const shared = floats(value, value + 1);
  return {
    step: new Counter(value),
    old: new Counter(value, { dtype: 'int32' }),
    model: {
      layers: [{ kernel: floats(value, 2, 3), bias: shared }, { scale: shared }],
      ids: new HostTensor({ dtype: 'int64', shape: [], data: new BigInt64Array([BigInt(value)]) }),
    },
    names: new HostTensor({ dtype: 'string', shape: [2], data: [`n${value}`, ''] }),
    plain: { dtype: 'uint8' as const, shape: [3], data: new Uint8Array([value, 1, 2]) },
    words: { dtype: 'string' as const, shape: [1], data: [`w${value}`] },
    epoch: new Epoch(value),
    none: floats(),
    'odd.name/x': floats(value),
  };
}

describe('save and restore', () => {
  it('brings every kind of value back, in the caller’s own memory', async () => {
    const path = await new Checkpoint(state(5)).save(join(directory(), 'ckpt'));
    const fresh = state(0);
    const kernel = fresh.model.layers[0]!.kernel!.data as Float32Array;
    const status = await new Checkpoint(fresh).restore(path);
    status.assertConsumed().assertExistingObjectsMatched().assertNontrivialMatch();
    expect(status.unmatchedKeys).toEqual([]);
    expect(status.unmatchedObjects).toEqual([]);
    expect([...kernel]).toEqual([5, 2, 3]);
    expect(fresh.step.value).toBe(5);
    expect(fresh.old).toMatchObject({ value: 5, dtype: 'int32' });
    expect([...(fresh.model.layers[1]!.scale!.data as Float32Array)]).toEqual([5, 6]);
    expect((fresh.model.ids.data as BigInt64Array)[0]).toBe(5n);
    expect((fresh.names.data as Uint8Array[]).map((bytes) => Buffer.from(bytes).toString())).toEqual(['n5', '']);
    expect([...fresh.plain.data]).toEqual([5, 1, 2]);
    expect(fresh.words.data).toEqual(['w5']);
    expect(fresh.epoch.epoch).toBe(5);
    expect([...(fresh['odd.name/x'].data as Float32Array)]).toEqual([5]);
  });

  it('names keys as TensorFlow does', async () => {
    const path = await new Checkpoint(state(1)).save(join(directory(), 'ckpt'));
    const { entries } = await openBundle(path);
    expect([...entries.keys()].sort()).toEqual([
      '_CHECKPOINTABLE_OBJECT_GRAPH',
      'epoch/.ATTRIBUTES/py_state',
      'model/ids/.ATTRIBUTES/VARIABLE_VALUE',
      'model/layers/0/bias/.ATTRIBUTES/VARIABLE_VALUE',
      'model/layers/0/kernel/.ATTRIBUTES/VARIABLE_VALUE',
      'names/.ATTRIBUTES/VARIABLE_VALUE',
      'none/.ATTRIBUTES/VARIABLE_VALUE',
      'odd..name.Sx/.ATTRIBUTES/VARIABLE_VALUE',
      'old/.ATTRIBUTES/VARIABLE_VALUE',
      'plain/.ATTRIBUTES/VARIABLE_VALUE',
      'save_counter/.ATTRIBUTES/VARIABLE_VALUE',
      'step/.ATTRIBUTES/VARIABLE_VALUE',
      'words/.ATTRIBUTES/VARIABLE_VALUE',
    ]);
  });

  it('keeps an int32 counter int32, whatever the counter was before', async () => {
    const path = await new Checkpoint({ c: new Counter(7, { dtype: 'int32' }) }).write(join(directory(), 'x'));
    const c = new Counter(1);
    const checkpoint = new Checkpoint({ c });
    (await checkpoint.read(path)).assertConsumed();
    expect(c).toMatchObject({ value: 7, dtype: 'int32' });
    await checkpoint.write(path);
    expect((await openBundle(path)).info('c/.ATTRIBUTES/VARIABLE_VALUE').dtype).toBe('int32');
  });

  it('equal state gives equal bytes', async () => {
    const [a, b] = [directory(), directory()];
    for (const where of [a, b]) await new Checkpoint(state(3)).save(join(where, 'ckpt'));
    expect(filesIn(a)).toEqual(filesIn(b));
    for (const file of filesIn(a)) {
      expect(readFileSync(join(a, file)).equals(readFileSync(join(b, file))), file).toBe(true);
    }
  });

  it('saves again and again with what has changed, reusing the structure', async () => {
    const where = directory();
    const objects: Record<string, unknown> = { a: floats(1), e: new Epoch(1) };
    const checkpoint = new Checkpoint(objects);
    await checkpoint.save(join(where, 'ckpt'));
    (objects.a as HostTensor<'float32'>).data[0] = 2;
    (objects.e as Epoch).epoch = 1234;
    await checkpoint.save(join(where, 'ckpt'));
    objects.b = floats(3);
    const path = await checkpoint.save(join(where, 'ckpt'));
    const [a, b, e] = [floats(0), floats(0), new Epoch(0)];
    (await new Checkpoint({ a, b, e }).restore(path)).assertConsumed();
    expect([a.data[0], b.data[0], e.epoch]).toEqual([2, 3, 1234]);
    (await new Checkpoint({ a, e }).restore(join(where, 'ckpt-1'))).assertConsumed();
    expect([a.data[0], e.epoch]).toEqual([1, 1]);
  });

  it('an object reached by two names is stored once and restored once', async () => {
    const shared = floats(4);
    const path = await new Checkpoint({ a: shared, b: [shared] }).write(join(directory(), 'x'));
    expect([...(await openBundle(path)).entries.keys()]).toHaveLength(2);
    const one = floats(0);
    (await new Checkpoint({ a: one, b: [one] }).read(path)).assertConsumed();
    expect(one.data[0]).toBe(4);
    // Two objects now: the first that is reached gets the value, the other has none.
    const [a, b] = [floats(0), floats(0)];
    const status = await new Checkpoint({ a, b: [b] }).read(path);
    expect([a.data[0], b.data[0]]).toEqual([4, 0]);
    expect(status.unmatchedObjects).toEqual(['b/0']);
  });

  it('follows cycles', async () => {
    const make = (value: number) => {
      const a: Record<string, unknown> = { value: floats(value) };
      a.b = { a };
      return a;
    };
    const path = await new Checkpoint({ a: make(9) }).write(join(directory(), 'x'));
    const fresh = make(0);
    (await new Checkpoint({ a: fresh }).read(path)).assertConsumed();
    expect((fresh.value as HostTensor<'float32'>).data[0]).toBe(9);
  });

  it('takes a Checkpoint as part of another', async () => {
    const inner = new Checkpoint({ x: floats(2) });
    const path = await new Checkpoint({ inner }).write(join(directory(), 'x'));
    const x = floats(0);
    (await new Checkpoint({ inner: new Checkpoint({ x }) }).read(path)).assertConsumed();
    expect(x.data[0]).toBe(2);
  });

  it('makes the directories it needs', async () => {
    const where = directory();
    const path = await new Checkpoint({ x: floats(1) }).save(join(where, 'a/b/c'));
    expect(path).toBe(join(where, 'a/b/c-1'));
    expect(filesIn(where)).toEqual(['a/b/c-1.data-00000-of-00001', 'a/b/c-1.index', 'a/b/checkpoint']);
  });
});

describe('33: save, write, restore, read', () => {
  it('save numbers from 1 and names the checkpoint alone in the state file, without timestamps', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    expect(await checkpoint.save(join(where, 'ckpt'))).toBe(join(where, 'ckpt-1'));
    expect(await checkpoint.save(join(where, 'other'))).toBe(join(where, 'other-2'));
    expect(checkpoint.saveCounter.value).toBe(2);
    expect(readFileSync(join(where, 'checkpoint'), 'utf8')).toBe(
      'model_checkpoint_path: "other-2"\nall_model_checkpoint_paths: "other-2"\n',
    );
  });

  it('write neither numbers nor touches the state file, and stores the counter only once it exists', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    await checkpoint.write(join(where, 'plain'));
    expect(filesIn(where)).toEqual(['plain.data-00000-of-00001', 'plain.index']);
    const keys = async () => [...(await openBundle(join(where, 'plain'))).entries.keys()];
    expect(await keys()).not.toContain('save_counter/.ATTRIBUTES/VARIABLE_VALUE');
    await checkpoint.save(join(where, 'ckpt'));
    await checkpoint.write(join(where, 'plain'));
    expect(await keys()).toContain('save_counter/.ATTRIBUTES/VARIABLE_VALUE');
  });

  it('read pairs with write; restore of a written one misses the save counter', async () => {
    const path = await new Checkpoint({ x: floats(1) }).write(join(directory(), 'plain'));
    (await new Checkpoint({ x: floats(0) }).read(path)).assertConsumed();
    const status = await new Checkpoint({ x: floats(0) }).restore(path);
    expect(() => status.assertConsumed()).toThrow(/save_counter/);
    expect(status.unmatchedObjects).toEqual(['save_counter']);
  });

  it('read of a saved one leaves its counter waiting, and the next save goes on from it', async () => {
    const where = directory();
    const first = new Checkpoint({ x: floats(1) });
    await first.save(join(where, 'ckpt'));
    const path = await first.save(join(where, 'ckpt'));
    const second = new Checkpoint({ x: floats(0) });
    const status = await second.read(path);
    expect(status.unmatchedKeys).toEqual(['save_counter/.ATTRIBUTES/VARIABLE_VALUE']);
    expect(await second.save(join(where, 'ckpt'))).toBe(join(where, 'ckpt-3'));
  });

  it('restore brings the counter back and goes on numbering', async () => {
    const where = directory();
    const path = await new Checkpoint({ x: floats(1) }).save(join(where, 'ckpt'));
    const checkpoint = new Checkpoint({ x: floats(0) });
    await checkpoint.restore(path);
    expect(checkpoint.saveCounter.value).toBe(1);
    expect(await checkpoint.save(join(where, 'ckpt'))).toBe(join(where, 'ckpt-2'));
  });
});

describe('34: the status of a restore', () => {
  it('of null restores nothing, and every assertion fails', async () => {
    const status = await new Checkpoint({ x: floats(1) }).restore(null);
    for (const check of ['assertConsumed', 'assertExistingObjectsMatched', 'assertNontrivialMatch'] as const) {
      expect(() => status[check]()).toThrow(/no checkpoint was given/);
    }
    expect(status.expectPartial()).toBe(status);
  });

  it('tells what the checkpoint has and the objects have not, and the other way round', async () => {
    const path = await new Checkpoint({ a: floats(1), b: { c: floats(2) } }).write(join(directory(), 'x'));
    const more = await new Checkpoint({ a: floats(0), d: floats(0) }).read(path);
    expect(more.unmatchedKeys).toEqual(['b/c/.ATTRIBUTES/VARIABLE_VALUE']);
    expect(more.unmatchedObjects).toEqual(['d']);
    expect(() => more.assertExistingObjectsMatched()).toThrow(/objects that exist: d\b/);
    const fewer = await new Checkpoint({ a: floats(0) }).read(path);
    fewer.assertExistingObjectsMatched().assertNontrivialMatch();
    let error: unknown;
    try {
      fewer.assertConsumed();
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'NOT_FOUND', problems: [{ key: 'b/c/.ATTRIBUTES/VARIABLE_VALUE' }] });
    const none = await new Checkpoint({ z: floats(0) }).read(path);
    expect(() => none.assertNontrivialMatch()).toThrow(/Nothing but the root/);
  });

  it('counts a container where the checkpoint has a variable as unmatched, in both directions', async () => {
    const path = await new Checkpoint({ a: floats(1) }).write(join(directory(), 'x'));
    const status = await new Checkpoint({ a: { inner: floats(0) } }).read(path);
    expect(status.unmatchedKeys).toEqual(['a/.ATTRIBUTES/VARIABLE_VALUE']);
    expect(status.unmatchedObjects).toEqual(['a/inner']);
  });
});

describe('35: what does not fit', () => {
  it('is found before anything is assigned, and listed whole', async () => {
    const path = await new Checkpoint({ a: floats(1), b: floats(2, 3), c: floats(4), n: new Counter(5) }).write(
      join(directory(), 'x'),
    );
    const a = floats(0);
    const objects = {
      a,
      b: floats(0),
      c: new HostTensor({ dtype: 'int32', shape: [1], data: new Int32Array(1) }),
      n: floats(0),
    };
    const error = await new Checkpoint(objects).read(path).catch((caught) => caught);
    expect(error.problems.map(({ code, key }: { code: string; key: string }) => [code, key])).toEqual([
      ['SHAPE_MISMATCH', 'b/.ATTRIBUTES/VARIABLE_VALUE'],
      ['DTYPE_MISMATCH', 'c/.ATTRIBUTES/VARIABLE_VALUE'],
      ['DTYPE_MISMATCH', 'n/.ATTRIBUTES/VARIABLE_VALUE'],
      ['SHAPE_MISMATCH', 'n/.ATTRIBUTES/VARIABLE_VALUE'],
    ]);
    expect(error).toMatchObject({ code: 'SHAPE_MISMATCH', path });
    expect(error.message).toMatch(/stored shape is \[2\], the object's is \[1\]/);
    expect(error.message).toMatch(/stored as float32, the object is int32/);
    expect(a.data[0]).toBe(0);
  });

  it('a prefix that is not there is NOT_FOUND, with a hint', async () => {
    const error = await new Checkpoint({ a: floats(1) }).restore(join(directory(), 'ckpt')).catch((caught) => caught);
    expect(error).toMatchObject({ code: 'NOT_FOUND' });
    expect(error.message).toMatch(/the -1 of ckpt-1/);
  });

  it.each(['', 'x\0y', 'dir/', '.', 'dir/..'])('%j is no prefix', async (prefix) => {
    const checkpoint = new Checkpoint({ a: floats(1) });
    for (const call of ['save', 'write', 'restore', 'read'] as const) {
      await expect(checkpoint[call](prefix)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });
});

describe('damage', () => {
  async function damaged() {
    const path = await new Checkpoint({ a: floats(1), b: floats(2), s: new Epoch(3) }).write(join(directory(), 'x'));
    const info = (await openBundle(path)).info('b/.ATTRIBUTES/VARIABLE_VALUE');
    const file = `${path}.data-00000-of-00001`;
    const bytes = readFileSync(file);
    bytes[info.offset!]! ^= 1;
    writeFileSync(file, bytes);
    const objects = { a: floats(0), b: floats(0), s: new Epoch(0) };
    return { path, file, objects, checkpoint: new Checkpoint(objects) };
  }

  it('is DATA_LOSS naming key, file and the objects that were overwritten', async () => {
    const { path, file, objects, checkpoint } = await damaged();
    const error = await checkpoint.read(path).catch((caught) => caught);
    expect(error).toMatchObject({ code: 'DATA_LOSS', key: 'b/.ATTRIBUTES/VARIABLE_VALUE', path: file });
    expect(error.overwritten).toContain('b/.ATTRIBUTES/VARIABLE_VALUE');
    const changed = objects.a.data[0] !== 0;
    expect(error.overwritten.includes('a/.ATTRIBUTES/VARIABLE_VALUE')).toBe(changed);
    // Handed over only after all was verified.
    expect(objects.s.epoch).toBe(0);
  });

  it('changes nothing with atomic: true', async () => {
    const { path, objects, checkpoint } = await damaged();
    const error = await checkpoint.read(path, { atomic: true }).catch((caught) => caught);
    expect(error).toMatchObject({ code: 'DATA_LOSS', key: 'b/.ATTRIBUTES/VARIABLE_VALUE' });
    expect(error.overwritten).toBeUndefined();
    expect([objects.a.data[0], objects.b.data[0], objects.s.epoch]).toEqual([0, 0, 0]);
  });

  it('passes unseen with verify: false, as asked', async () => {
    const { path, objects, checkpoint } = await damaged();
    (await checkpoint.read(path, { verify: false })).assertConsumed();
    expect([objects.a.data[0], objects.s.epoch]).toEqual([1, 3]);
    expect(objects.b.data[0]).not.toBe(2);
  });

  it('a damaged checkpoint can be restored from another one afterwards', async () => {
    const { path, objects, checkpoint } = await damaged();
    await checkpoint.read(path).catch(() => {});
    const whole = await new Checkpoint({ a: floats(7), b: floats(8), s: new Epoch(9) }).write(join(directory(), 'x'));
    (await checkpoint.read(whole)).assertConsumed();
    expect([objects.a.data[0], objects.b.data[0], objects.s.epoch]).toEqual([7, 8, 9]);
  });
});

describe('a prefix that exists', () => {
  it('is replaced under another shard count, and its old data are gone', async () => {
    const where = directory();
    const path = join(where, 'x');
    const a = floats(1);
    const checkpoint = new Checkpoint({ a, b: floats(2) });
    await checkpoint.write(path);
    const before = filesIn(where);
    a.data[0] = 10;
    await checkpoint.write(path);
    expect(filesIn(where)).not.toEqual(before);
    a.data[0] = 11;
    await checkpoint.write(path);
    expect(filesIn(where)).toEqual(before);
    const restored = floats(0);
    await new Checkpoint({ a: restored, b: floats(0) }).read(path);
    expect(restored.data[0]).toBe(11);
  });

  it('is replaced even where the tree holds a single value', async () => {
    const where = directory();
    const a = floats(1);
    const checkpoint = new Checkpoint({ a });
    for (let value = 1; value <= 4; value++) {
      a.data[0] = value;
      await checkpoint.write(join(where, 'x'));
      const restored = floats(0);
      (await new Checkpoint({ a: restored }).read(join(where, 'x'))).assertConsumed();
      expect(restored.data[0]).toBe(value);
      expect(filesIn(where).filter((name) => name.endsWith('.index'))).toEqual(['x.index']);
    }
  });

  it('data files that others left without an index are neither in the way nor touched', async () => {
    const where = directory();
    const stale = join(where, 'x.data-00000-of-00001');
    writeFileSync(stale, 'not ours');
    const path = await new Checkpoint({ a: floats(5), b: floats(6) }).write(join(where, 'x'));
    expect(readFileSync(stale, 'utf8')).toBe('not ours');
    const a = floats(0);
    await new Checkpoint({ a, b: floats(0) }).read(path);
    expect(a.data[0]).toBe(5);
  });

  it('writes to it wait for one another, also of different Checkpoints', async () => {
    const path = join(directory(), 'x');
    const writes = Array.from({ length: 5 }, (_, i) =>
      new Checkpoint({ a: floats(i, i, i), b: floats(i) }).write(path),
    );
    await Promise.all(writes);
    const [a, b] = [floats(0, 0, 0), floats(0)];
    (await new Checkpoint({ a, b }).read(path)).assertConsumed();
    expect([...a.data, b.data[0]]).toEqual([4, 4, 4, 4]);
  });

  it('shards as asked', async () => {
    const where = directory();
    const tensors = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`t${i}`, floats(i, i)]));
    const path = await new Checkpoint(tensors).write(join(where, 'x'), { shards: 3 });
    expect(filesIn(where)).toEqual([0, 1, 2].map((i) => `x.data-0000${i}-of-00003`).concat('x.index'));
    const fresh = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`t${i}`, floats(0, 0)]));
    (await new Checkpoint(fresh).read(path)).assertConsumed();
    expect(fresh.t8!.data[1]).toBe(8);
  });
});
