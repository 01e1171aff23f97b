import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RepeatedNames } from '../../src/checkpoint/repeated-names.ts';

function listed(last: readonly string[] | undefined, names: readonly string[]): RepeatedNames {
  const list = new RepeatedNames(last);
  for (const name of names) list.push(name);
  return list;
}

describe('names that repeat those of last time', () => {
  it('are those that were pushed, whatever the last ones were', () => {
    const names = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 5 });
    fc.assert(
      fc.property(fc.option(names, { nil: undefined }), names, (last, names) => {
        const list = listed(last, names);
        expect(list.length).toBe(names.length);
        expect(names.map((_, i) => list.at(i))).toEqual(names);
        expect(list.list()).toEqual(names);
      }),
    );
  });

  it('are the same list where all are the same, and a list of their own where they are not', () => {
    const last = ['a', 'b'];
    expect(listed(last, ['a', 'b']).list()).toBe(last);
    expect(listed(last, ['a']).list()).not.toBe(last);
    listed(last, ['a', 'x']).push('y');
    listed(last, ['a', 'b']).push('c');
    expect(last).toEqual(['a', 'b']);
  });
});
