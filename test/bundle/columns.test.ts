import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BundleColumns, BundlePlanner } from '../../src/bundle/index.ts';
import { IndexTableBuilder } from '../../src/bundle/index-table-builder.ts';
import { KeyColumn } from '../../src/bundle/key-column.ts';
import { sortedNumbers } from '../../src/bundle/sort.ts';
import { SourceColumns } from '../../src/bundle/source-columns.ts';
import { ONE_TURN, promiseOf, resultOf, type Turns } from '../../src/steps.ts';

/** Gives way wherever it may, and counts how often. */
function everyTurn(): Turns & { taken: number } {
  return {
    due: true,
    taken: 0,
    next() {
      this.taken++;
      return Promise.resolve();
    },
  };
}

const keys = fc.uniqueArray(
  fc
    .oneof(fc.string({ minLength: 1 }), fc.string({ minLength: 1, unit: 'grapheme' }))
    .filter((key) => key.isWellFormed()),
  { maxLength: 60 },
);

describe('the sort that lets the event loop turn', () => {
  it('orders as Array.prototype.sort does, equal items in their own order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(20), { maxLength: 300 }), async (items) => {
        const compare = (a: number, b: number) => items[a]! - items[b]!;
        const expected = items.map((_, i) => i).sort(compare);
        expect([...resultOf(sortedNumbers(items.length, compare, ONE_TURN))]).toEqual(expected);
        expect([...(await promiseOf(sortedNumbers(items.length, compare, everyTurn())))]).toEqual(expected);
      }),
    );
  });

  it('looks once at each item of what is sorted already', () => {
    let comparisons = 0;
    const count = 10_000;
    const compare = (a: number, b: number) => {
      comparisons++;
      return a - b;
    };
    resultOf(sortedNumbers(count, compare, ONE_TURN));
    expect(comparisons).toBe(count - 1);
  });

  it('gives way while it sorts many', async () => {
    const turns = everyTurn();
    await promiseOf(sortedNumbers(20_000, (a, b) => b - a, turns));
    expect(turns.taken).toBeGreaterThan(20);
  });
});

describe('the table of an index', () => {
  it('finds its keys, and no others, also where they are many', () => {
    const count = 20_000;
    const names = Array.from({ length: count }, (_, i) => `läyer-${i}/weight`);
    const sorted = names.map((name) => Buffer.from(name)).sort(Buffer.compare);
    const entry = { dtype: 'uint8', shape: [], shard: 0, offset: 0, size: 1, crc32c: 0, slices: [] } as const;
    const builder = new IndexTableBuilder(16);
    for (const key of sorted) builder.add(key, key.length, entry);
    const table = resultOf(builder.finish(1, ONE_TURN));
    expect(table.size).toBe(count);
    sorted.forEach((key, row) => {
      if (table.find(key.toString()) !== row || table.keyAt(row) !== key.toString()) throw new Error(`row ${row}`);
    });
    for (const other of ['', 'läyer-', `läyer-${count}/weight`, 'läyer-1/weight\0', '\ud800']) {
      expect(table.has(other)).toBe(false);
    }
    expect(table.has(undefined as unknown as string)).toBe(false);
  });

  it('finds what a Map would, in the same order', () => {
    fc.assert(
      fc.property(keys, fc.array(fc.string({ unit: 'binary' })), (names, others) => {
        const sorted = names.map((name) => Buffer.from(name)).sort(Buffer.compare);
        const map = new Map(
          sorted.map((key, i) => [
            key.toString(),
            {
              dtype: 'uint8',
              shape: [i],
              shard: i,
              offset: 2 ** 40 + i,
              size: i,
              crc32c: 2 ** 32 - 1 - i,
              slices: [],
            } as const,
          ]),
        );
        const builder = new IndexTableBuilder(16);
        for (const key of sorted) builder.add(key, key.length, map.get(key.toString())!);
        const table = resultOf(builder.finish(1, ONE_TURN));
        expect([...table]).toEqual([...map]);
        expect(table.size).toBe(map.size);
        for (const key of [...names, ...others, '']) {
          expect(table.get(key)).toEqual(map.get(key));
          expect(table.has(key)).toBe(map.has(key));
        }
        expect(table.has(undefined as unknown as string)).toBe(false);
      }),
    );
  });
});

describe('a column of keys', () => {
  it('gives them back, in the order of their bytes, and is equal to one of the same keys only', () => {
    fc.assert(
      fc.property(keys, keys, (names, others) => {
        const column = resultOf(KeyColumn.of(names, ONE_TURN));
        expect(Array.from(names, (_, row) => column.at(row))).toEqual(names);
        const sorted = Array.from(resultOf(column.sorted(ONE_TURN)), (row) => Buffer.from(column.at(row)));
        expect(sorted).toEqual(names.map((name) => Buffer.from(name)).sort(Buffer.compare));
        expect(column.equals(resultOf(KeyColumn.of(names, ONE_TURN)))).toBe(true);
        const same = names.length === others.length && names.every((name, i) => name === others[i]);
        expect(column.equals(resultOf(KeyColumn.of(others, ONE_TURN)))).toBe(same);
      }),
    );
    const cut = (...names: string[]) => resultOf(KeyColumn.of(names, ONE_TURN));
    expect(cut('ab', 'c').equals(cut('a', 'bc'))).toBe(false);
  });

  it('names the key that is there twice', () => {
    const column = resultOf(KeyColumn.of(['b', 'ä', 'a', 'ä'], ONE_TURN));
    expect(() => resultOf(column.sorted(ONE_TURN))).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', key: 'ä' }),
    );
  });

  it('gives way while it is made and sorted of many', async () => {
    const turns = everyTurn();
    const column = await promiseOf(
      KeyColumn.of(
        Array.from({ length: 20_000 }, (_, i) => `${i}`),
        turns,
      ),
    );
    expect(turns.taken).toBeGreaterThan(20);
    turns.taken = 0;
    await promiseOf(column.sorted(turns));
    expect(turns.taken).toBeGreaterThan(100);
  });
});

describe('a plan made in many turns', () => {
  const columnsOf = (names: readonly string[], sizes: readonly number[]): BundleColumns => ({
    keys: resultOf(KeyColumn.of(names, ONE_TURN)),
    dtypes: names.map((_, i) => (i % 5 === 4 ? 'string' : 'uint8')),
    shapes: names.map((_, i) => (i % 5 === 4 ? [] : [sizes[i % sizes.length]!])),
    sources: SourceColumns.of(
      names.map((_, i) =>
        i % 5 === 4
          ? { kind: 'strings', elements: [Buffer.from(names[i]!)] }
          : { kind: 'memory', bytes: new Uint8Array(sizes[i % sizes.length]!) },
      ),
    ),
  });

  it('is to the byte the one that is made at once', async () => {
    const sizes = fc.array(fc.oneof(fc.nat(100), fc.integer({ min: 65_000, max: 66_000 })), {
      minLength: 1,
      maxLength: 7,
    });
    await fc.assert(
      fc.asyncProperty(keys, sizes, fc.constantFrom(undefined, 1, 3), async (names, lengths, shards) => {
        const columns = columnsOf(names, lengths);
        const options = { prefix: '/p', shards };
        const turns = everyTurn();
        const planner = new BundlePlanner();
        const once = resultOf(new BundlePlanner().planColumns(columns, options, ONE_TURN));
        for (let again = 0; again < 2; again++) {
          const slowly = await promiseOf(planner.planColumns(columns, options, turns));
          expect(slowly.index.bytes.copy()).toEqual(once.index.bytes.copy());
          expect(slowly.index.values).toEqual(once.index.values);
          expect(slowly.index.patches).toEqual(once.index.patches);
          expect(slowly.index.seals).toEqual(once.index.seals);
          expect(slowly.extents).toEqual(once.extents);
          expect(slowly.files).toEqual(once.files);
        }
        if (names.length > 0) expect(turns.taken).toBeGreaterThan(0);
      }),
      { numRuns: 60 },
    );
  });
});
