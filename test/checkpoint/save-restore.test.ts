import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openBundle } from '../../src/bundle/index.ts';
import { Checkpoint, Counter } from '../../src/checkpoint/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { filesIn, testDirectories } from '../support/directory.ts';
import { Epoch, floats } from '../support/objects.ts';

const directory = testDirectories();

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

  it('brings back both the state and the parts of an object that has both', async () => {
    class Sampler extends Epoch {
      readonly weights = floats(this.epoch, 1);
      checkpointChildren() {
        return { weights: this.weights };
      }
    }
    const path = await new Checkpoint({ sampler: new Sampler(6) }).save(join(directory(), 'ckpt'));
    const sampler = new Sampler(0);
    (await new Checkpoint({ sampler }).restore(path)).assertConsumed();
    expect(sampler.epoch).toBe(6);
    expect([...(sampler.weights.data as Float32Array)]).toEqual([6, 1]);
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
