import { readingStrings } from '../../src/bundle/strings.ts';
import { ONE_TURN, resultOf } from '../../src/steps.ts';

/** The elements of a string tensor as it is stored, at once. */
export function readStrings(bytes: Uint8Array, count: number, expectedCrc: number | null): Uint8Array[] {
  return resultOf(readingStrings(bytes, count, expectedCrc, ONE_TURN));
}
