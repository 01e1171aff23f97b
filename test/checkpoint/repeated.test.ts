import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Repeated } from '../../src/checkpoint/repeated.ts';

const items = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 5 });
const last = fc.option(items, { nil: undefined });

function pushed(last: readonly string[] | undefined, items: readonly string[]): Repeated<string> {
  const list = new Repeated(last);
  for (const item of items) list.push(item);
  return list;
}

function expectHolds(list: Repeated<string>, items: readonly string[]): void {
  expect(list.length).toBe(items.length);
  expect(items.map((_, row) => list.at(row))).toEqual(items);
  expect(list.list()).toEqual(items);
}

describe('a list that repeats that of last time', () => {
  it('holds what was pushed, whatever the last one was', () => {
    fc.assert(fc.property(last, items, (last, items) => expectHolds(pushed(last, items), items)));
  });

  it('holds what was filled in, in whatever order, whatever the last one was', () => {
    const order = fc.array(fc.nat(), { minLength: 5, maxLength: 5 });
    fc.assert(
      fc.property(last, items, order, (last, items, order) => {
        const list = new Repeated(last, items.length);
        const rows = items.map((_, row) => row).sort((a, b) => order[a]! - order[b]!);
        for (const row of rows) list.set(row, items[row]!);
        expectHolds(list, items);
      }),
    );
  });

  it('is the same list where all is the same, and leaves that alone where it is not', () => {
    const last = ['a', 'b'];
    expect(pushed(last, ['a', 'b']).list()).toBe(last);
    expect(pushed(last, ['a']).list()).not.toBe(last);
    pushed(last, ['a', 'x', 'y']);
    pushed(last, ['a', 'b', 'c']);
    expect(last).toEqual(['a', 'b']);
  });
});
