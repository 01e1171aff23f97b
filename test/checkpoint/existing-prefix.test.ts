import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { filesIn, testDirectories } from '../support/directory.ts';
import { floats } from '../support/objects.ts';

const directory = testDirectories();

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
