/**
 * String tensors as the bundle stores them: the elements' lengths as varints, four bytes of masked CRC-32C over the
 * lengths as fixed-width integers, then the bytes of all elements. The entry's checksum runs over the fixed-width
 * lengths, the four bytes and the elements, so it is not that of the stored bytes.
 */

import { crc32c } from '../native/engine.ts';
import { maskCrc } from './crc.ts';
import { dataLoss } from './damage.ts';
import { varintLength, WireReader, WireWriter } from './wire.ts';

export function stringsByteLength(elements: readonly Uint8Array[]): number {
  let size = 4;
  for (const element of elements) size += varintLength(element.byteLength) + element.byteLength;
  return size;
}

/** Writes the elements to `target` at `offset`; returns the entry's unmasked checksum. */
export function writeStrings(elements: readonly Uint8Array[], target: Uint8Array, offset: number): number {
  const lengths = elements.map((element) => element.byteLength);
  const varints = new WireWriter(elements.length + 16);
  for (const length of lengths) varints.varint(length);
  let crc = crc32c(fixedLengths(lengths));
  varints.fixed32(maskCrc(crc));
  const head = varints.view();
  crc = crc32c(head.subarray(head.length - 4), crc);
  target.set(head, offset);
  let at = offset + head.length;
  const start = at;
  for (const element of elements) {
    target.set(element, at);
    at += element.byteLength;
  }
  return crc32c(target.subarray(start, at), crc);
}

/** The elements, as views of `bytes`. `expectedCrc`: unmasked, or null not to compare. */
export function readStrings(bytes: Uint8Array, count: number, expectedCrc: number | null): Uint8Array[] {
  if (count > bytes.length) throw dataLoss(`${count} strings can't lie in ${bytes.length} bytes`);
  const reader = new WireReader(bytes);
  const lengths: number[] = [];
  let total = 0;
  for (let i = 0; i < count; i++) {
    const length = reader.varint();
    lengths.push(length);
    total += length;
  }
  const checksumAt = reader.position;
  const stored = reader.fixed32();
  if (total !== bytes.length - reader.position) {
    throw dataLoss(`the strings' lengths add up to ${total} bytes, ${bytes.length - reader.position} are there`, {
      offset: 0,
    });
  }
  const start = reader.position;
  if (expectedCrc !== null) {
    const ofLengths = crc32c(fixedLengths(lengths));
    if (maskCrc(ofLengths) !== stored) throw dataLoss("the checksum of the strings' lengths does not match");
    let crc = crc32c(bytes.subarray(checksumAt, start), ofLengths);
    crc = crc32c(bytes.subarray(start), crc);
    if (crc !== expectedCrc) throw dataLoss('the checksum of the strings does not match');
  }
  let at = start;
  return lengths.map((length) => {
    const element = bytes.subarray(at, at + length);
    at += length;
    return element;
  });
}

/** The lengths as the checksum sees them: four bytes each, eight where the length needs more than 32 bits. */
function fixedLengths(lengths: readonly number[]): Uint8Array {
  const writer = new WireWriter(lengths.length * 4);
  for (const length of lengths) {
    writer.fixed32(length % 2 ** 32);
    if (length >= 2 ** 32) writer.fixed32(Math.floor(length / 2 ** 32));
  }
  return writer.view();
}
