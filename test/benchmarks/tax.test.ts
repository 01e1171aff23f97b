import { expect, it } from 'vitest';
import { taxOf } from '../../benchmarks/experiments/tax.js';

const phase = (saving: boolean, steps: number[], ownCpuSeconds = 0, seconds = 10) => ({
  saving,
  saves: saving ? 2 : 0,
  seconds,
  steps,
  ownCpuSeconds,
});
const many = (count: number, ms: number) => Array.from({ length: count }, () => ms);

it('the tax is what the loop loses, beside what the saves use themselves', () => {
  const tax = taxOf([phase(false, many(1000, 10)), phase(true, many(900, 11), 2)], { cores: 2, bytes: 1e9 });
  expect(tax.loss.median).toBeCloseTo(0.1);
  expect(tax.share.median).toBeCloseTo(0.1);
  expect(tax.lossPerShare).toBeCloseTo(1);
  expect(tax.saves).toBe(2);
  expect(tax.saveRate).toBeCloseTo(2e8);
  expect(tax.cpuSecondsPerGB).toBeCloseTo(1);
  expect(tax.p99Ratio).toBeCloseTo(1.1);
});

it('a few long steps show in the 99th percentile, not in the median', () => {
  const slow = [...many(950, 10), ...many(50, 40)];
  const tax = taxOf([phase(false, many(1000, 10)), phase(true, slow, 1)], { cores: 2, bytes: 1 });
  expect(tax.stepMs.saving).toBe(10);
  expect(tax.p99Ratio).toBe(4);
});

it('compares pairs only', () => {
  expect(() => taxOf([phase(false, [1])], { cores: 2, bytes: 1 })).toThrow(RangeError);
});
