import { describe, expect, it } from 'vitest';
import {
  coverage,
  histogram,
  median,
  orderOf,
  pairedRatios,
  quantile,
  summarize,
} from '../../benchmarks/lib/statistics.js';

describe('medians and quantiles', () => {
  it('take the middle value, or the mean of the middle two', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([7])).toBe(7);
  });

  it('interpolate between neighbours', () => {
    expect(quantile([10, 20, 30, 40, 50], 0)).toBe(10);
    expect(quantile([10, 20, 30, 40, 50], 1)).toBe(50);
    expect(quantile([10, 20, 30, 40, 50], 0.9)).toBeCloseTo(46);
  });

  it('sort by number, not by text, and leave their input alone', () => {
    const values = [100, 9, 80];
    expect(median(values)).toBe(80);
    expect(values).toEqual([100, 9, 80]);
  });

  it('refuse what has no median', () => {
    expect(() => median([])).toThrow(RangeError);
    expect(() => median([1, Number.NaN])).toThrow(RangeError);
  });
});

describe('the interval of a median', () => {
  it('is the whole range of seven values, with 98.4 percent', () => {
    expect(summarize([5, 1, 7, 3, 2, 6, 4])).toEqual({ median: 4, low: 1, high: 7, confidence: 1 - 2 / 128, count: 7 });
  });

  it('leaves out extremes as soon as the rest still holds 95 percent', () => {
    // Tables of the sign test: for nine values the second from either end gives 96.1 percent.
    const nine = summarize([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect([nine.low, nine.high]).toEqual([2, 8]);
    expect(nine.confidence).toBeCloseTo(0.961, 3);
    const twenty = summarize(Array.from({ length: 20 }, (_, i) => i + 1));
    expect([twenty.low, twenty.high]).toEqual([6, 15]);
    expect(twenty.confidence).toBeCloseTo(0.9586, 4);
  });

  it('says how little three values tell', () => {
    expect(summarize([1, 2, 3])).toMatchObject({ low: 1, high: 3, confidence: 0.75 });
    expect(summarize([1])).toMatchObject({ low: 1, high: 1, confidence: 0 });
  });

  it('holds the true median as often as it says', () => {
    let state = 12345;
    const random = () => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return ((state >>> 8) & 0xffff) / 0x10000;
    };
    let held = 0;
    for (let trial = 0; trial < 4000; trial++) {
      const { low, high } = summarize(Array.from({ length: 9 }, () => random() ** 3)); // skewed on purpose
      if (low <= 0.125 && high >= 0.125) held++;
    }
    expect(held / 4000).toBeGreaterThan(0.94);
    expect(held / 4000).toBeLessThan(0.98);
    expect(coverage(9, 1)).toBeCloseTo(0.9609, 4);
  });
});

describe('pairs', () => {
  it('compare what was measured in the same round', () => {
    expect(pairedRatios([2, 9], [4, 3])).toEqual([0.5, 3]);
    expect(() => pairedRatios([1], [])).toThrow(RangeError);
  });

  it('turn the order around in every other round', () => {
    expect([0, 1, 2, 3].map((round) => orderOf(['limit', 'ours'], round).join())).toEqual([
      'limit,ours',
      'ours,limit',
      'limit,ours',
      'ours,limit',
    ]);
  });
});

it('a histogram counts every value once, the largest in its open class', () => {
  const bins = histogram([0.5, 1, 1.9, 3, 1000], 1, 4);
  expect(bins.map((bin) => bin.below)).toEqual([1, 2, 4, Number.POSITIVE_INFINITY]);
  expect(bins.map((bin) => bin.count)).toEqual([1, 2, 1, 1]);
});
