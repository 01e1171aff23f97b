/**
 * String tensors as the bundle stores them: the elements' lengths as varints, four bytes of masked CRC-32C over the
 * lengths as fixed-width integers, then the bytes of all elements. The entry's checksum runs over the fixed-width
 * lengths, the four bytes and the elements, so it is not that of the stored bytes.
 */

import type { NativeBytes } from '../native/encode.ts';
import { crc32c } from '../native/engine.ts';
import { inTurns, type Steps, type Turns } from '../steps.ts';
import { maskCrc } from './crc.ts';
import { dataLoss } from './damage.ts';
import { WireReader } from './wire-reader.ts';
import { WireWriter } from './wire-writer.ts';

/** Bytes that are summed before the event loop may turn. */
const SUMMED_AT_ONCE = 2 ** 18;

/** A whole string tensor as it is stored, in memory of its own that doesn't change. */
export interface StoredStrings<Bytes = Uint8Array | NativeBytes> {
  readonly kind: 'stored';
  /** How many strings. */
  readonly count: number;
  readonly bytes: Bytes;
  /** The entry's, unmasked. */
  readonly checksum: number;
}

export function storedStrings(elements: readonly Uint8Array[]): StoredStrings<Uint8Array> {
  const { head, checksum } = headOf(elements.map((element) => element.byteLength));
  const bytes = new Uint8Array(elements.reduce((sum, element) => sum + element.byteLength, head.length));
  bytes.set(head);
  let at = head.length;
  for (const element of elements) {
    bytes.set(element, at);
    at += element.byteLength;
  }
  const sum = crc32c(bytes.subarray(head.length), checksum);
  return { kind: 'stored', count: elements.length, bytes, checksum: sum };
}

/** The bytes of strings as JavaScript sees them: a copy where they are native's. */
export function bytesOfStrings({ bytes }: StoredStrings): Uint8Array {
  return bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes.copy());
}

/** What stands before the elements, and the entry's checksum as far as that. */
function headOf(lengths: readonly number[]): { head: Uint8Array; checksum: number } {
  const writer = new WireWriter(lengths.length + 4);
  for (const length of lengths) writer.varint(length);
  const ofLengths = crc32c(fixedLengths(lengths));
  writer.fixed32(maskCrc(ofLengths));
  const head = writer.view();
  return { head, checksum: crc32c(head.subarray(head.length - 4), ofLengths) };
}

/**
 * The elements, as views of `bytes`. They may be long: the object graph of a million tensors takes 100 MB.
 *
 * @param expectedCrc unmasked, or null not to compare.
 */
export function* readingStrings(
  bytes: Uint8Array,
  count: number,
  expectedCrc: number | null,
  turns: Turns,
): Steps<Uint8Array[]> {
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
    const add = (from: number, to: number): void => {
      crc = crc32c(bytes.subarray(start + from, start + to), crc);
    };
    yield* inTurns(turns, total, add, SUMMED_AT_ONCE);
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
