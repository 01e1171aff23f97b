import fc from 'fast-check';
import type { Encoder } from '../../src/native/contract.ts';

/** Short ones, ones that UTF-8 takes several bytes for, and some that no first guess of their length holds. */
export const name = fc
  .oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }),
    fc.string({ minLength: 1, maxLength: 40 }),
    fc.stringMatching(/^[./a]{1,9}$/),
    fc
      .tuple(fc.string({ unit: 'grapheme', maxLength: 3 }), fc.nat(2000))
      .map(([text, n]) => `${'ä'.repeat(n)}x${text}`),
  )
  .filter((text) => text.isWellFormed());

/** Rows at once. */
export const piece = fc.integer({ min: 1, max: 20 });

export function made<T>(encoder: Encoder<T>, piece = 1000): T {
  while (encoder.write(piece));
  return encoder.finish();
}

/** Where rows begin that are so many for each. */
export const starts = (counts: readonly number[]): Int32Array => {
  let sum = 0;
  return Int32Array.of(0, ...counts.map((count) => (sum += count)));
};
