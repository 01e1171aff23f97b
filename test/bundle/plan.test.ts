import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BundleEntry, BundlePlanner, planBundle } from '../../src/bundle/index.ts';
import { ALIGNMENT, LARGE_TENSOR_BYTES } from '../../src/bundle/layout.ts';
import { parseIndex } from '../../src/bundle/parse-index.ts';
import { type DType, elementSize } from '../../src/tensor/dtypes.ts';
import { seal } from '../support/tables.ts';

function entry(key: string, bytes: number, dtype: DType = 'uint8'): BundleEntry {
  const data = new Uint8Array(bytes);
  return { key, dtype, shape: [bytes / elementSize(dtype)], source: { kind: 'memory', bytes: data } };
}

function text(key: string, value: string): BundleEntry {
  return { key, dtype: 'string', shape: [], source: { kind: 'strings', elements: [Buffer.from(value)] } };
}

const index = (plan: ReturnType<typeof planBundle>) =>
  parseIndex(seal({ bytes: new Uint8Array(plan.index.bytes.copy()), seals: plan.index.seals }), {
    path: 'x',
    strict: true,
  });

describe('a plan', () => {
  it('places every tensor once, without overlap, in the index as in the extents', () => {
    const sizes = fc.array(fc.oneof(fc.nat(50), fc.nat(300_000), fc.constant(LARGE_TENSOR_BYTES)), {
      minLength: 1,
      maxLength: 40,
    });
    const limit = fc.option(fc.integer({ min: 1, max: 400_000 }), { nil: undefined });
    fc.assert(
      fc.property(
        sizes,
        fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
        limit,
        (given, shards, maxShardBytes) => {
          const entries = given.map((size, i) => entry(`k${i}`, size * 4, 'float32'));
          const plan = planBundle(entries, { prefix: '/p', shards, maxShardBytes });
          const { entries: stored, shardCount } = index(plan);
          expect(shardCount).toBe(plan.shardCount);
          expect(plan.files.paths).toHaveLength(shardCount);
          const ends = new Array<number>(shardCount).fill(0);
          const held = new Array<number>(shardCount).fill(0);
          for (let tensor = 0; tensor < plan.tensorCount; tensor++) {
            const key = plan.keyOf(tensor);
            const shard = plan.extents.file[tensor]!;
            const offset = plan.extents.fileOffset[tensor]!;
            const bytes = plan.extents.bytes[tensor]!;
            expect(stored.get(key)).toMatchObject({ shard, offset, size: bytes });
            expect(bytes).toBe(given[Number(key.slice(1))]! * 4);
            expect(offset).toBeGreaterThanOrEqual(ends[shard]!);
            expect(offset - ends[shard]!).toBeLessThan(ALIGNMENT);
            if (bytes >= LARGE_TENSOR_BYTES) expect(offset % ALIGNMENT).toBe(0);
            else if (bytes > 0) expect(offset % 4).toBe(0);
            ends[shard] = offset + bytes;
            held[shard]! += 1;
          }
          expect(stored.size).toBe(given.length);
          expect([...plan.files.sizes]).toEqual(ends);
          expect(Math.min(...held)).toBeGreaterThan(0);
          if (maxShardBytes !== undefined) {
            expect(ends.every((end, shard) => end <= maxShardBytes || held[shard] === 1)).toBe(true);
          }
          if (shards !== undefined && maxShardBytes === undefined)
            expect(shardCount).toBe(Math.min(shards, given.length));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('balances shards by size', () => {
    const entries = Array.from({ length: 100 }, (_, i) => entry(`k${i}`, 4096 * (1 + (i % 10))));
    const { files } = planBundle(entries, { prefix: '/p', shards: 4 });
    expect(Math.max(...files.sizes) / Math.min(...files.sizes)).toBeLessThan(1.05);
  });

  it('has one shard below 64 MiB, and gives a tensor over maxShardBytes a shard of its own', () => {
    expect(planBundle([entry('a', 9), entry('b', 9)], { prefix: '/p' }).shardCount).toBe(1);
    const plan = planBundle([entry('a', 10), entry('big', 5000), entry('c', 10)], { prefix: '/p', maxShardBytes: 100 });
    expect([...plan.files.sizes].sort((a, b) => a - b)).toEqual([20, 5000]);
  });

  it('avoids shard counts that are taken, and every shard still holds a tensor', () => {
    const entries = [entry('a', 9), entry('b', 9), entry('c', 9)];
    const count = (avoid: number[], shards?: number) =>
      planBundle(entries, { prefix: '/p', shards, avoidShardCounts: new Set(avoid) }).shardCount;
    expect(count([])).toBe(1);
    expect(count([1])).toBe(2);
    expect(count([1, 2])).toBe(3);
    expect(count([3], 3)).toBe(2);
  });

  it('counts a shard that no tensor uses only where every other count is taken', () => {
    const plan = planBundle([entry('only', 9)], { prefix: '/p', avoidShardCounts: new Set([1, 2]) });
    expect(plan.shardCount).toBe(3);
    expect(plan.files.paths).toEqual(['/p.data-00000-of-00003']);
  });

  it.each<[string, BundleEntry[], object]>([
    ['two tensors of one key', [entry('a', 1), entry('a', 1)], {}],
    ['an empty key', [entry('', 1)], {}],
    ['a key that marks slices', [entry('\0a', 1)], {}],
    ['a key that UTF-8 can’t express', [entry('a\ud800', 1)], {}],
    ['a source of the wrong length', [{ ...entry('a', 4), shape: [5] }], {}],
    ['variant', [{ ...entry('a', 0), dtype: 'variant' }], {}],
    ['a wrong number of strings', [{ ...text('a', 'x'), shape: [2] }], {}],
    ['bytes for strings', [{ ...text('a', ''), source: { kind: 'memory', bytes: new Uint8Array(0) } }], {}],
    ['shards: 0', [entry('a', 1)], { shards: 0 }],
    ['maxShardBytes: NaN', [entry('a', 1)], { maxShardBytes: Number.NaN }],
  ])('refuses %s', (_, entries, options) => {
    expect(() => planBundle(entries, { prefix: '/p', ...options })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });
});

describe('a planner that plans again', () => {
  const plain = (plan: ReturnType<typeof planBundle>) => ({
    index: Buffer.from(plan.index.bytes.copy()).toString('hex'),
    offsets: [...plan.extents.fileOffset],
    files: plan.files.paths,
    keys: Array.from({ length: plan.tensorCount }, (_, i) => plan.keyOf(i)),
  });

  it('gives what a new one would, whatever changed in between', () => {
    const base = () => [entry('w', 100_000), entry('b', 12, 'float32'), text('state', '{"epoch":1}')];
    const variants: Array<() => BundleEntry[]> = [
      base,
      () => [...base(), entry('x', 3)],
      () => base().reverse(),
      () => [entry('w', 100_000), entry('b', 16, 'float32'), text('state', '{"epoch":1}')],
      () => [entry('w', 100_000), entry('b', 12, 'int32'), text('state', '{"epoch":1}')],
      () => [entry('w', 100_000), { ...entry('b', 12, 'float32'), shape: [3, 1] }, text('state', '{"epoch":1}')],
      () => [entry('w', 100_000), entry('b', 12, 'float32'), text('state', '{"epoch":10}')],
      () => [entry('w', 100_000), entry('b', 12, 'float32'), text('state', '{"epoch":2}')],
    ];
    const planner = new BundlePlanner();
    fc.assert(
      fc.property(
        fc.nat(variants.length - 1),
        fc.constantFrom(undefined, 1, 2),
        fc.constantFrom([], [1]),
        (v, shards, avoid) => {
          const options = { prefix: '/p', shards, avoidShardCounts: new Set(avoid) };
          expect(plain(planner.plan(variants[v]!(), options))).toEqual(plain(planBundle(variants[v]!(), options)));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('does not change plans it gave out before', () => {
    const planner = new BundlePlanner();
    const first = planner.plan([text('s', 'aaaa')], { prefix: '/p' });
    const before = plain(first);
    planner.plan([text('s', 'bbbb')], { prefix: '/p' });
    expect(plain(first)).toEqual(before);
  });

  it('notices a shape that its owner changed', () => {
    const shape = [4];
    const planner = new BundlePlanner();
    const make = (): BundleEntry => ({ ...entry('a', 4), shape });
    planner.plan([make()], { prefix: '/p' });
    shape[0] = 2;
    shape.push(2);
    expect(index(planner.plan([make()], { prefix: '/p' })).entries.get('a')!.shape).toEqual([2, 2]);
  });

  it('finds the memory of views that share a buffer', () => {
    const shared = new Uint8Array(100);
    const view = (key: string, at: number): BundleEntry => ({
      key,
      dtype: 'uint8',
      shape: [10],
      source: { kind: 'memory', bytes: shared.subarray(at, at + 10) },
    });
    const plan = planBundle([view('a', 20), view('b', 50)], { prefix: '/p' });
    expect(plan.buffers).toEqual([shared.buffer]);
    expect([...plan.extents.source]).toEqual([20, 50]);
  });
});
