/**
 * Keys of the parts of a sliced tensor: TensorFlow's OrderedCode (tensorflow/core/lib/strings/ordered_code.h) of
 * 0, the tensor's name, its rank, and start and length of every dimension.
 */

import type { TensorSlice } from './types.ts';

/** Keys of this kind start with this byte, so they sort between the header and all names. */
export const SLICE_KEY_MARK = 0;

export function encodeSliceKey(name: string, slice: TensorSlice): Uint8Array {
  const out: number[] = [];
  pushNumber(out, 0);
  for (const byte of new TextEncoder().encode(name)) {
    if (byte === 0) out.push(0x00, 0xff);
    else if (byte === 0xff) out.push(0xff, 0x00);
    else out.push(byte);
  }
  out.push(0x00, 0x01);
  pushNumber(out, slice.length);
  for (const extent of slice) {
    pushSigned(out, extent === null ? 0 : extent[0]);
    pushSigned(out, extent === null ? -1 : extent[1]);
  }
  return Uint8Array.from(out);
}

/** Unsigned: the number of significant bytes, then these, most significant first. */
function pushNumber(out: number[], value: number): void {
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  out.push(bytes.length, ...bytes);
}

/** How many bytes a signed number takes, by the bit length of its magnitude: 6 bits → 1, 13 → 2, … 7 more a byte. */
function signedLength(magnitude: number): number {
  let length = 1;
  for (let limit = 2 ** 6; magnitude >= limit; limit *= 2 ** 7) length++;
  return length;
}

/** Signed: big-endian two's complement whose first bits, xored with the header, tell the length and keep the order. */
function pushSigned(out: number[], value: number): void {
  const magnitude = value < 0 ? -(value + 1) : value;
  const length = signedLength(magnitude);
  const bytes: number[] = [];
  let rest = magnitude;
  for (let i = 0; i < length; i++) {
    const byte = rest % 256;
    bytes.unshift(value < 0 ? ~byte & 0xff : byte);
    rest = Math.floor(rest / 256);
  }
  // `length` leading ones: 1 → 80, 2 → C0, … 8 → FF. Safe integers never need more than eight bytes.
  bytes[0]! ^= (0xff << (8 - length)) & 0xff;
  out.push(...bytes);
}
