import { expect, it } from 'vitest';
import {
  formatRate,
  formatSize,
  formatSummary,
  formatTime,
  parseCount,
  parseDuration,
  parseSize,
  UsageError,
} from '../../benchmarks/lib/units.js';

it.each([
  ['4GiB', 4 * 2 ** 30],
  ['1.5 mib', 1.5 * 2 ** 20],
  ['1TB', 1e12],
  ['4096', 4096],
])('the size %s is %d bytes', (text, bytes) => {
  expect(parseSize('--size', text)).toBe(bytes);
});

it.each(['', '0', '-1GiB', '4 gigs', '1e3', 'GiB', '9999999TiB'])(
  '"%s" is no size, and the message names the option',
  (text) => {
    expect(() => parseSize('--size', text)).toThrow(UsageError);
    expect(() => parseSize('--size', text)).toThrow(/--size/);
  },
);

it('reads times and counts', () => {
  expect(parseDuration('--mtbf', '1.5h')).toBe(5400);
  expect(parseDuration('--mtbf', '2d')).toBe(172800);
  expect(() => parseDuration('--mtbf', '5')).toThrow(UsageError);
  expect(() => parseDuration('--mtbf', '0h')).toThrow(UsageError);
  expect(parseCount('--rounds', '7', 1)).toBe(7);
  expect(() => parseCount('--rounds', '7.5', 1)).toThrow(/whole number from 1/);
  expect(() => parseCount('--shards', '9', 1, 8)).toThrow(/from 1 to 8/);
});

it('writes what people read', () => {
  expect(formatRate(3.94e9)).toBe('3.94 GB/s');
  expect(formatRate(12.3e6)).toBe('12.30 MB/s');
  expect(formatSize(4 * 2 ** 30)).toBe('4 GiB');
  expect(formatSize(1536)).toBe('1.50 KiB');
  expect(formatTime(0.00042)).toBe('420 µs');
  expect(formatTime(0.012)).toBe('12.0 ms');
  expect(formatTime(7200)).toBe('2.0 h');
  expect(formatSummary({ median: 3.9e9, low: 3.8e9, high: 4e9 }, formatRate)).toBe('3.90 GB/s (3.80–4.00)');
});
