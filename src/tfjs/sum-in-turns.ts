import { crc32c } from '../native/engine.ts';

/** Summed in a millisecond or two. */
const PIECE_BYTES = 8 * 2 ** 20;

/** CRC-32C of a range of memory, continuing from `initial`; the event loop turns between pieces. */
export async function sumInTurns(
  buffer: ArrayBuffer,
  byteOffset: number,
  byteLength: number,
  initial: number,
): Promise<number> {
  let sum = initial;
  for (let at = 0; at < byteLength; at += PIECE_BYTES) {
    if (at > 0) await new Promise((resolve) => setImmediate(resolve));
    sum = crc32c(new Uint8Array(buffer, byteOffset + at, Math.min(PIECE_BYTES, byteLength - at)), sum);
  }
  return sum;
}
