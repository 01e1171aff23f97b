import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openBundle } from '../../src/bundle/index.ts';
import { Checkpoint, Counter } from '../../src/checkpoint/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { testDirectories } from '../support/directory.ts';
import { Epoch, floats } from '../support/objects.ts';

const directory = testDirectories();

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
