import { expect, it } from 'vitest';
import { checkpointInterval, lostFraction } from '../../benchmarks/lib/young-daly.js';

it("Young's interval is the root of twice the cost times the time between failures", () => {
  expect(checkpointInterval(2, 3600).young).toBeCloseTo(120);
});

it('for a small cost the two agree, for a large one Daly saves less often than never', () => {
  const cheap = checkpointInterval(1, 1e8);
  expect(cheap.seconds / cheap.young).toBeCloseTo(1, 3);
  expect(checkpointInterval(500, 200).seconds).toBe(200);
});

it.each([
  [1, 3600, 0],
  [60, 3600, 30],
  [600, 86400, 300],
])('at a cost of %d s and %d s between failures no other interval loses clearly less', (cost, mtbf, resume) => {
  const { seconds, lostFraction: lost } = checkpointInterval(cost, mtbf, resume);
  let least = Number.POSITIVE_INFINITY;
  for (let interval = seconds / 8; interval < seconds * 8; interval *= 1.02) {
    least = Math.min(least, lostFraction(interval, cost, mtbf, resume));
  }
  expect(lost).toBeGreaterThan(0);
  expect(lost - least).toBeLessThan(0.002);
});

it('costs nothing where nothing fails, and refuses what has no answer', () => {
  expect(lostFraction(100, 1, 1e12, 0)).toBeCloseTo(1 / 101, 6);
  expect(() => checkpointInterval(0, 3600)).toThrow(RangeError);
  expect(() => checkpointInterval(1, Number.NaN)).toThrow(RangeError);
});
