import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EncodedIndex, GraphColumns, IndexColumns, NativeBytes, TextColumn } from '../../src/native/contract.ts';
import { loadAddon } from '../../src/native/loader.ts';
import { made, name, piece, starts } from '../support/encoders.ts';
import { readStrings } from '../support/read-strings.ts';
import { columnOf, referenceEncoders } from '../support/reference-encoders.ts';

const native = loadAddon();

/** In the order of the keys' bytes; `order` leads back to the one in which they came. */
function indexOf(keys: readonly string[], shapes: readonly (readonly number[])[]): IndexColumns {
  const order = Uint32Array.from(keys.keys()).sort((a, b) =>
    Buffer.compare(Buffer.from(keys[a]!), Buffer.from(keys[b]!)),
  );
  const count = keys.length;
  const shapeOf = Array.from({ length: count }, (_, i) => shapes[i % shapes.length]!);
  const dims = shapeOf.flat();
  let end = 0;
  return {
    shards: 3,
    keys: columnOf(keys),
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

function expectSameBytes(actual: NativeBytes, expected: NativeBytes): void {
  expect(actual.byteLength).toBe(expected.byteLength);
  expect(Buffer.from(actual.copy()).equals(Buffer.from(expected.copy()))).toBe(true);
}

function expectSame(actual: EncodedIndex, expected: EncodedIndex): void {
  expectSameBytes(actual.bytes, expected.bytes);
  expect(actual.checksumAt).toEqual(expected.checksumAt);
  expect(actual.seals).toEqual(expected.seals);
}

describe('an index encoded by native', () => {
  const dimension = fc.oneof(fc.nat(4), fc.nat({ max: 2 ** 40 }));
  const shapes = fc.array(fc.array(dimension, { maxLength: 4 }), { minLength: 1, maxLength: 6 });

  it('is that of the plain encoder, whatever the keys, shapes and pieces', () => {
    const keys = fc.uniqueArray(name, { maxLength: 60 });
    fc.assert(
      fc.property(keys, shapes, piece, (keys, shapes, piece) => {
        const columns = indexOf(keys, shapes);
        expectSame(made(native.encodeIndex(columns), piece), referenceEncoders.encodeIndex(columns).finish());
      }),
      { numRuns: 300 },
    );
  });

  it('has as many blocks as the plain one, and one of its own for an entry of twice a block', () => {
    const keys = Array.from({ length: 30_000 }, (_, i) => `layer-${i}/weight/.ATTRIBUTES/VARIABLE_VALUE`);
    keys.push(`layer-1${'x'.repeat(600_000)}`, `layer-3${'y'.repeat(300_000)}`);
    const columns = indexOf(keys, [[256], [2, 2 ** 33]]);
    const index = made(native.encodeIndex(columns), 512);
    expect(index.seals.start.length).toBeGreaterThan(8);
    expectSame(index, referenceEncoders.encodeIndex(columns).finish());
  });

  it('is no index where columns do not fit together, and the process lives on', () => {
    const columns = indexOf(['a', 'b', 'c'], [[1]]);
    for (const wrong of [
      { order: new Uint32Array(2) },
      { order: Uint32Array.of(0, 1, 3) },
      { keys: columnOf(['a']) },
      { keys: { ...columns.keys, start: Uint32Array.of(0, 1, 2, 9) } },
      { keys: ['a', 'b', 'c'] as unknown as TextColumn },
      { tensor: Uint32Array.of(0, 1, 3) },
      { dimEnd: Uint32Array.of(1, 2, 4) },
      { dimEnd: Uint32Array.of(2, 1, 3) },
      { offset: new Float64Array(0) },
      { shards: -1 },
      { size: new Uint32Array(3) as unknown as Float64Array },
    ]) {
      expect(() => native.encodeIndex({ ...columns, ...wrong }), JSON.stringify(wrong)).toThrow(TypeError);
    }
  });
});

describe('a graph encoded by native', () => {
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
        childNames: columnOf(children.map(([, text]) => text)),
        valueStart: starts(nodes.map((node) => node.values.length)),
        attributes: Uint32Array.from(values, ([attribute]) => attribute),
        attributeNames: columnOf(['VARIABLE_VALUE', 'py_state', '']),
        keys: columnOf([...values.map(([, key]) => key), 'one of nothing here']),
        slotStart: starts(nodes.map((node) => node.slots.length)),
        slotVariables: Int32Array.from(slots, ([variable]) => variable % count),
        slotNames: columnOf(slots.map(([, text]) => text)),
        slotIds: Int32Array.from(slots, ([, , slot]) => slot % count),
      };
    });

  const small: GraphColumns = {
    childStart: Int32Array.of(0, 1, 1),
    childIds: Int32Array.of(1),
    childNames: columnOf(['a']),
    valueStart: Int32Array.of(0, 0, 1),
    attributes: Uint32Array.of(0),
    attributeNames: columnOf(['VARIABLE_VALUE']),
    keys: columnOf(['a/.ATTRIBUTES/VARIABLE_VALUE']),
    slotStart: new Int32Array(3),
    slotVariables: new Int32Array(0),
    slotNames: columnOf([]),
    slotIds: new Int32Array(0),
  };

  it('is that of the plain encoder, whatever its nodes, also with cycles, and written in whatever pieces', () => {
    fc.assert(
      fc.property(graph, piece, (columns, piece) => {
        const expected = referenceEncoders.encodeGraph(columns).finish();
        const graph = made(native.encodeGraph(columns), piece);
        expectSameBytes(graph.bytes, expected.bytes);
        expect(graph.checksum).toBe(expected.checksum);
      }),
      { numRuns: 300 },
    );
  });

  it('is a string tensor that reads as one', () => {
    const graph = made(native.encodeGraph(small), 1);
    const [element] = readStrings(new Uint8Array(graph.bytes.copy()), 1, graph.checksum);
    expect(Buffer.from(element!).includes('a/.ATTRIBUTES/VARIABLE_VALUE')).toBe(true);
  });

  it("is bytes of native's, which only it can make", () => {
    const { bytes } = made(native.encodeGraph(small));
    expect(bytes.address).toBeGreaterThan(0);
    expect(bytes.copy().byteLength).toBe(bytes.byteLength);
    for (const other of [{}, { ...bytes }, new Uint8Array(3), loadAddon()]) {
      expect(() => bytes.copy.call(other as NativeBytes)).toThrow(TypeError);
    }
  });

  it('is no graph where columns do not fit together, and the process lives on', () => {
    expect(made(native.encodeGraph(small)).bytes.byteLength).toBeGreaterThan(0);
    for (const wrong of [
      { childStart: new Int32Array(0) },
      { childStart: Int32Array.of(0, 2, 1) },
      { childStart: Int32Array.of(-1, 1, 1) },
      { childIds: Int32Array.of(2) },
      { childIds: Int32Array.of(-1) },
      { childNames: columnOf([]) },
      { childNames: { ...small.childNames, start: Uint32Array.of(0, 2) } },
      { valueStart: Int32Array.of(0, 1) },
      { attributes: Uint32Array.of(1) },
      { attributeNames: columnOf([]) },
      { keys: columnOf([]) },
      { slotIds: Int32Array.of(0) },
      { slotNames: columnOf(['m']) },
    ]) {
      expect(() => native.encodeGraph({ ...small, ...wrong }), JSON.stringify(wrong)).toThrow(TypeError);
    }
  });
});
