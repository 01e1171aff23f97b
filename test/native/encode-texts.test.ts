import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Encoder, PathColumns, TextColumn } from '../../src/native/contract.ts';
import { encodeTexts } from '../../src/native/encode.ts';
import { loadAddon } from '../../src/native/loader.ts';
import { ONE_TURN, resultOf } from '../../src/steps.ts';
import { made, name, piece, starts } from '../support/encoders.ts';
import { columnOf, referenceEncoders, stringsOf } from '../support/reference-encoders.ts';

const native = loadAddon();

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
