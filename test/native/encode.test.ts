import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type {
  EncodedIndex,
  Encoder,
  GraphColumns,
  IndexColumns,
  NativeBytes,
  PathColumns,
  TextColumn,
} from '../../src/native/contract.ts';
import { encodeTexts } from '../../src/native/encode.ts';
import { loadAddon } from '../../src/native/loader.ts';
import { ONE_TURN, resultOf } from '../../src/steps.ts';
import { columnOf, referenceEncoders, stringsOf } from '../support/reference-encoders.ts';

const native = loadAddon();

/** Short ones, ones that UTF-8 takes several bytes for, and some that no first guess of their length holds. */
const name = fc
  .oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }),
    fc.string({ minLength: 1, maxLength: 40 }),
    fc.stringMatching(/^[./a]{1,9}$/),
    fc
      .tuple(fc.string({ unit: 'grapheme', maxLength: 3 }), fc.nat(2000))
      .map(([text, n]) => `${'ä'.repeat(n)}x${text}`),
  )
  .filter((text) => text.isWellFormed());

const piece = fc.integer({ min: 1, max: 20 });

function made<T>(encoder: Encoder<T>, piece = 1000): T {
  while (encoder.write(piece));
  return encoder.finish();
}

const starts = (counts: readonly number[]): Int32Array => {
  let sum = 0;
  return Int32Array.of(0, ...counts.map((count) => (sum += count)));
};

describe('an encoder of native', () => {
  const make = () => native.encodeTexts(['a', 'b', 'c']);

  it('writes until it is done, and is finished once', () => {
    const encoder = make();
    expect(encoder.write(2)).toBe(true);
    expect(() => encoder.finish()).toThrow(/wrong arguments/);
    expect(encoder.write(2)).toBe(false);
    expect(() => encoder.write(2)).toThrow(/wrong arguments/);
    expect(stringsOf(encoder.finish())).toEqual(['a', 'b', 'c']);
    expect(() => encoder.finish()).toThrow(/wrong arguments/);
    expect(() => encoder.write(2)).toThrow(/wrong arguments/);
    expect(() => make().finish()).toThrow(/wrong arguments/);
  });

  it.each([0, -1, 0.5, Number.NaN, '1' as unknown as number])('does not write %s rows', (count) => {
    expect(() => make().write(count)).toThrow(/wrong arguments/);
  });

  it('refuses what is no text with a code, and the process lives on', () => {
    for (const strings of [['a', 1, 'c'], [null], [undefined, 'a']]) {
      const encoder = native.encodeTexts(strings as string[]);
      expect(() => encoder.write(3)).toThrow(/a name is no string/);
      expect(() => encoder.finish()).toThrow(/wrong arguments/);
      expect(() => resultOf(encodeTexts(strings as string[], ONE_TURN))).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
    }
    expect(() => native.encodeTexts('abc' as unknown as string[])).toThrow(/wrong arguments/);
  });
});

describe('texts encoded by native', () => {
  it('are those of the plain encoder', () => {
    fc.assert(
      fc.property(fc.array(name, { maxLength: 60 }), piece, (texts, piece) => {
        expect(made(native.encodeTexts(texts), piece)).toEqual(columnOf(texts));
      }),
      { numRuns: 300 },
    );
  });

  it('are sorted by their bytes, and one that is there twice is found', () => {
    fc.assert(
      fc.property(fc.array(name, { maxLength: 600 }), piece, (texts, piece) => {
        const column = columnOf(texts);
        const expected = referenceEncoders.sortTexts(column).finish();
        const sorted = made(native.sortTexts(column), piece);
        const inOrder = (rows: Uint32Array) => Array.from(rows, (row) => texts[row]);
        expect(inOrder(sorted.rows)).toEqual(inOrder(expected.rows));
        expect(sorted.repeated === null).toBe(expected.repeated === null);
        if (sorted.repeated !== null) {
          expect(texts.filter((text) => text === texts[sorted.repeated!]).length).toBeGreaterThan(1);
        }
      }),
      { numRuns: 200 },
    );
  });

  it.each<[string, Partial<TextColumn>]>([
    ['without an end', { start: new Uint32Array(0) }],
    ['that end before they begin', { start: Uint32Array.of(0, 2, 1) }],
    ['beyond their text', { start: Uint32Array.of(0, 1, 9) }],
    ['of the wrong type', { text: 'ab' as unknown as Uint8Array }],
  ])('are not sorted %s', (_, wrong) => {
    expect(() => native.sortTexts({ ...columnOf(['a', 'b']), ...wrong })).toThrow(TypeError);
  });
});

describe('keys encoded by native', () => {
  /** A tree whose nodes hang on earlier ones, and slot variables behind them. */
  const tree = fc
    .record({
      nodes: fc.array(fc.record({ above: fc.nat(), edge: name, values: fc.array(fc.nat(2), { maxLength: 2 }) }), {
        maxLength: 15,
      }),
      slots: fc.array(fc.record({ optimizer: fc.nat(), variable: fc.nat(), slot: name }), { maxLength: 6 }),
      others: fc.array(name, { maxLength: 2 }),
    })
    .map(({ nodes, slots, others }): PathColumns => {
      const owners = nodes.length + 1;
      return {
        above: Int32Array.of(
          -1,
          ...nodes.map(({ above }, i) => above % (i + 1)),
          ...slots.map(({ optimizer }) => -1 - (optimizer % owners)),
        ),
        name: Int32Array.of(-1, ...nodes.keys(), ...slots.keys()),
        edgeNames: columnOf(nodes.map(({ edge }) => edge)),
        slotVariables: Int32Array.from(slots, ({ variable }) => variable % owners),
        slotNames: columnOf(slots.map(({ slot }) => slot)),
        valueStart: starts([1, ...nodes.map(({ values }) => values.length), ...slots.map(() => 1)]),
        attributes: Uint32Array.of(1, ...nodes.flatMap(({ values }) => values), ...slots.map(() => 0)),
        suffixes: columnOf(['/.ATTRIBUTES/VARIABLE_VALUE', '/.ATTRIBUTES/py_state', '']),
        others: columnOf(others),
      };
    });

  it('are those of the plain encoder, whatever the names and pieces', () => {
    fc.assert(
      fc.property(tree, piece, (columns, piece) => {
        const expected = referenceEncoders.encodeKeys(columns).finish();
        expect(stringsOf(made(native.encodeKeys(columns), piece))).toEqual(stringsOf(expected));
      }),
      { numRuns: 300 },
    );
  });

  it('are not made of columns that do not fit together, and the process lives on', () => {
    fc.assert(
      fc.property(
        tree,
        fc.constantFrom('above', 'name', 'slotVariables', 'valueStart', 'attributes'),
        fc.nat(),
        fc.integer({ min: -20, max: 20 }),
        (columns, column, at, number) => {
          const numbers = columns[column].slice();
          if (numbers.length > 0) numbers[at % numbers.length] = number;
          let encoder: Encoder<TextColumn>;
          try {
            encoder = native.encodeKeys({ ...columns, [column]: numbers });
          } catch (error) {
            expect(error).toBeInstanceOf(TypeError);
            return;
          }
          // It may be another tree, which is as good.
          made(encoder);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

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

  it('is no graph where columns do not fit together, and the process lives on', () => {
    const columns: GraphColumns = {
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
    expect(made(native.encodeGraph(columns)).bytes.byteLength).toBeGreaterThan(0);
    for (const wrong of [
      { childStart: new Int32Array(0) },
      { childStart: Int32Array.of(0, 2, 1) },
      { childStart: Int32Array.of(-1, 1, 1) },
      { childIds: Int32Array.of(2) },
      { childIds: Int32Array.of(-1) },
      { childNames: columnOf([]) },
      { childNames: { ...columns.childNames, start: Uint32Array.of(0, 2) } },
      { valueStart: Int32Array.of(0, 1) },
      { attributes: Uint32Array.of(1) },
      { attributeNames: columnOf([]) },
      { keys: columnOf([]) },
      { slotIds: Int32Array.of(0) },
      { slotNames: columnOf(['m']) },
    ]) {
      expect(() => native.encodeGraph({ ...columns, ...wrong }), JSON.stringify(wrong)).toThrow(TypeError);
    }
  });
});
