import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EncodedIndex, GraphColumns, IndexColumns, IndexEncoder } from '../../src/native/contract.ts';
import { encodeGraph, encodeIndex } from '../../src/native/encode.ts';
import { graphEncoder, indexEncoder } from '../support/reference-encoders.ts';

/** Short ones, ones that UTF-8 takes several bytes for, and some that no first guess of their length holds. */
const name = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }),
  fc.string({ minLength: 1, maxLength: 40 }),
  fc.tuple(fc.string({ unit: 'grapheme', maxLength: 3 }), fc.nat(2000)).map(([text, n]) => `${'ä'.repeat(n)}x${text}`),
);

/** In the order of the keys' bytes; `order` leads back to the one in which they came. */
function indexOf(given: readonly string[], shapes: readonly (readonly number[])[]): IndexColumns {
  const keys = given.filter((key) => key.isWellFormed());
  const order = Uint32Array.from(keys.keys()).sort((a, b) =>
    Buffer.compare(Buffer.from(keys[a]!), Buffer.from(keys[b]!)),
  );
  const count = keys.length;
  const shapeOf = Array.from({ length: count }, (_, i) => shapes[i % shapes.length]!);
  const dims = shapeOf.flat();
  let end = 0;
  return {
    shards: 3,
    keys,
    order,
    tensor: Uint32Array.from(keys.keys()).reverse(),
    dtype: Uint8Array.from(keys, (_, i) => [1, 3, 7, 14][i % 4]!),
    dims: Float64Array.from(dims),
    dimEnd: Uint32Array.from(shapeOf, (shape) => (end += shape.length)),
    size: Float64Array.from(keys, (_, i) => (i % 5) * 2 ** 33),
    shard: Uint32Array.from(keys, (_, i) => i % 3),
    offset: Float64Array.from(keys, (_, i) => i * 2 ** 40),
  };
}

function encoded(encoder: IndexEncoder, count: number, piece = count): EncodedIndex {
  for (let first = 0; first < count; first += piece) encoder.add(first, Math.min(count, first + piece));
  return encoder.finish();
}

function expectSame(actual: EncodedIndex, expected: EncodedIndex): void {
  expect(Buffer.compare(actual.bytes, expected.bytes)).toBe(0);
  expect(actual.checksumAt).toEqual(expected.checksumAt);
  expect(actual.seals).toEqual(expected.seals);
}

describe('an index encoded by native', () => {
  const dimension = fc.oneof(fc.nat(4), fc.nat({ max: 2 ** 40 }));
  const shapes = fc.array(fc.array(dimension, { maxLength: 4 }), { minLength: 1, maxLength: 6 });

  it('is that of the plain encoder, whatever the keys, shapes and pieces', () => {
    const keys = fc.uniqueArray(name, { maxLength: 60 });
    fc.assert(
      fc.property(keys, shapes, fc.integer({ min: 1, max: 20 }), (keys, shapes, piece) => {
        const columns = indexOf(keys, shapes);
        const count = columns.order.length;
        expectSame(encoded(encodeIndex(columns), count, piece), encoded(indexEncoder(columns), count));
      }),
      { numRuns: 300 },
    );
  });

  it('has as many blocks as the plain one, and one of its own for an entry of twice a block', () => {
    const keys = Array.from({ length: 30_000 }, (_, i) => `layer-${i}/weight/.ATTRIBUTES/VARIABLE_VALUE`);
    keys.push(`layer-1${'x'.repeat(600_000)}`, `layer-3${'y'.repeat(300_000)}`);
    const columns = indexOf(keys, [[256], [2, 2 ** 33]]);
    const native = encoded(encodeIndex(columns), keys.length, 512);
    expect(native.seals.start.length).toBeGreaterThan(8);
    expectSame(native, encoded(indexEncoder(columns), keys.length));
  });

  it('is no index where columns do not fit together or a key is no text, and the process lives on', () => {
    const columns = indexOf(['a', 'b', 'c'], [[1]]);
    for (const wrong of [
      { order: new Uint32Array(2) },
      { tensor: Uint32Array.of(0, 1, 3) },
      { dimEnd: Uint32Array.of(1, 2, 4) },
      { dimEnd: Uint32Array.of(2, 1, 3) },
      { offset: new Float64Array(0) },
      { shards: -1 },
      { size: new Uint32Array(3) as unknown as Float64Array },
    ]) {
      expect(() => encodeIndex({ ...columns, ...wrong })).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
    }
    const encoder = encodeIndex({ ...columns, keys: ['a', 1 as unknown as string, 'c'] });
    expect(() => encoder.add(0, 3)).toThrow(/a name is no string/);
    expect(() => encodeIndex({ ...columns, keys: ['a'] }).add(0, 3)).toThrow(/a name is no string/);
    expect(() => encodeIndex(columns).add(0, 4)).toThrow(/wrong arguments/);
    expect(() => encodeIndex(columns).add(-1, 2)).toThrow(/wrong arguments/);
    expect(() => encodeIndex(columns).add(1, 2)).toThrow(/wrong arguments/);
    expect(() => encodeIndex(columns).finish()).toThrow(/wrong arguments/);
    const finished = encodeIndex(columns);
    finished.add(0, 3);
    finished.finish();
    expect(() => finished.finish()).toThrow(/wrong arguments/);
    expect(() => finished.add(0, 1)).toThrow(/wrong arguments/);
  });
});

describe('a graph encoded by native', () => {
  const starts = (counts: readonly number[]): Int32Array => {
    let sum = 0;
    return Int32Array.of(0, ...counts.map((count) => (sum += count)));
  };
  const graph = fc
    .array(
      fc.record({
        children: fc.array(fc.tuple(fc.nat(), name), { maxLength: 4 }),
        values: fc.array(fc.tuple(fc.nat(2), name), { maxLength: 2 }),
        slots: fc.oneof(fc.constant([]), fc.array(fc.tuple(fc.nat(), name, fc.nat()), { maxLength: 2 })),
      }),
      { minLength: 1, maxLength: 12 },
    )
    .map((nodes): GraphColumns => {
      const count = nodes.length;
      const children = nodes.flatMap((node) => node.children);
      const values = nodes.flatMap((node) => node.values);
      const slots = nodes.flatMap((node) => node.slots);
      return {
        childStart: starts(nodes.map((node) => node.children.length)),
        childIds: Int32Array.from(children, ([id]) => id % count),
        childNames: children.map(([, text]) => text),
        valueStart: starts(nodes.map((node) => node.values.length)),
        attributes: Uint32Array.from(values, ([attribute]) => attribute),
        attributeNames: ['VARIABLE_VALUE', 'py_state', ''],
        keys: values.map(([, key]) => key),
        slotStart: starts(nodes.map((node) => node.slots.length)),
        slotVariables: Int32Array.from(slots, ([variable]) => variable % count),
        slotNames: slots.map(([, text]) => text),
        slotIds: Int32Array.from(slots, ([, , slot]) => slot % count),
        room: count,
      };
    });

  it('is that of the plain encoder, whatever its nodes, also with cycles, and written in whatever pieces', () => {
    fc.assert(
      fc.property(graph, fc.integer({ min: 1, max: 9 }), (columns, piece) => {
        const encoder = encodeGraph(columns);
        while (encoder.write(piece));
        expect(Buffer.compare(encoder.finish(), graphEncoder(columns).finish())).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it('is no graph where columns do not fit together or a name is no text, and the process lives on', () => {
    const columns: GraphColumns = {
      childStart: Int32Array.of(0, 1, 1),
      childIds: Int32Array.of(1),
      childNames: ['a'],
      valueStart: Int32Array.of(0, 0, 1),
      attributes: Uint32Array.of(0),
      attributeNames: ['VARIABLE_VALUE'],
      keys: ['a/.ATTRIBUTES/VARIABLE_VALUE'],
      slotStart: new Int32Array(3),
      slotVariables: new Int32Array(0),
      slotNames: [],
      slotIds: new Int32Array(0),
      room: 0,
    };
    for (const wrong of [
      { childStart: new Int32Array(0) },
      { childStart: Int32Array.of(0, 2, 1) },
      { childStart: Int32Array.of(-1, 1, 1) },
      { childIds: Int32Array.of(2) },
      { childIds: Int32Array.of(-1) },
      { valueStart: Int32Array.of(0, 1) },
      { attributes: Uint32Array.of(1) },
      { slotIds: Int32Array.of(0) },
      { room: 0.5 },
      { attributeNames: [1 as unknown as string] },
    ]) {
      expect(() => encodeGraph({ ...columns, ...wrong })).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
    }
    expect(() => encodeGraph({ ...columns, childNames: [] }).write(9)).toThrow(/a name is no string/);
    expect(() => encodeGraph(columns).write(0)).toThrow(/wrong arguments/);
    expect(() => encodeGraph(columns).finish()).toThrow(/wrong arguments/);
    const finished = encodeGraph(columns);
    while (finished.write(1));
    finished.finish();
    expect(() => finished.write(1)).toThrow(/wrong arguments/);
    expect(() => finished.finish()).toThrow(/wrong arguments/);
  });
});
