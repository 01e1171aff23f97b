import { describe, expect, it } from 'vitest';
import { Counter, isCounter } from '../../src/checkpoint/counter.ts';

describe('Counter', () => {
  it('counts from zero, by one, or by what is said', () => {
    const counter = new Counter();
    expect([counter.increment(), counter.increment(10), counter.increment(-4), counter.value]).toEqual([1, 11, 7, 7]);
    expect(counter.dtype).toBe('int64');
  });

  it.each([1.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY])('refuses %s', (value) => {
    expect(() => new Counter(value)).toThrow(/integer between/);
    const counter = new Counter(3);
    expect(() => {
      counter.value = value;
    }).toThrow(/integer between/);
    expect(counter.value).toBe(3);
  });

  it('refuses what an int32 can not hold, and keeps its value', () => {
    const counter = new Counter(2 ** 31 - 1, { dtype: 'int32' });
    expect(() => counter.increment()).toThrow(/does not fit this int32 Counter/);
    expect(counter.value).toBe(2 ** 31 - 1);
  });

  it('names a wrong dtype and a misspelt option', () => {
    expect(() => new Counter(0, { dtype: 'uint8' as 'int32' })).toThrow(/'int64' or 'int32', not "uint8"/);
    expect(() => new Counter(0, { type: 'int32' } as object)).toThrow(/unknown option 'type'/);
  });

  it.each([true, null, 1n, '1', Symbol('one'), [1], 0.5])('refuses to count by %s, and keeps its value', (by) => {
    const counter = new Counter(3);
    expect(() => counter.increment(by as number)).toThrow(/by must be an integer/);
    expect(counter.value).toBe(3);
  });

  it.each([null, 7, 'int32', [], () => {}])('refuses %s in the place of its options', (options) => {
    expect(() => new Counter(0, options as object)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  it('is recognised by a brand, not by its class', () => {
    const foreign = { value: 1, [Symbol.for('tensor-checkpoint.Counter')]: true };
    expect([isCounter(new Counter()), isCounter(foreign), isCounter({ value: 1 }), isCounter(null)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});
