/**
 * Protocol-buffer wire format, as much of it as the bundle's messages need (protobuf.dev/programming-guides/encoding).
 * Numbers are doubles: exact to 2^53, and an error beyond. No BigInt: an index has hundreds of thousands of varints.
 */

import { dataLoss } from './damage.ts';

export const WireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

const TWO_32 = 2 ** 32;

/** Reads one message or block. Everything it can run into is DATA_LOSS. */
export class WireReader {
  readonly bytes: Uint8Array;
  end: number;
  position: number;
  #high = 0;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.position = start;
    this.end = end;
  }

  get done(): boolean {
    return this.position >= this.end;
  }

  /** An unsigned varint of up to 64 bits; DATA_LOSS above 2^53. */
  varint(): number {
    const low = this.#varintHalves();
    const value = (this.#high >>> 0) * TWO_32 + low;
    if (!Number.isSafeInteger(value)) throw dataLoss(`a number is over 2^53 (at byte ${this.position})`);
    return value;
  }

  /** A varint that holds a two's-complement int64; DATA_LOSS outside ±2^53. */
  int64(): number {
    const low = this.#varintHalves();
    const value = (this.#high | 0) * TWO_32 + low;
    if (!Number.isSafeInteger(value)) throw dataLoss(`a number is outside ±2^53 (at byte ${this.position})`);
    return value;
  }

  /** A varint that holds an int32 (negative ones take ten bytes); DATA_LOSS for one that doesn't fit. */
  int32(): number {
    const value = this.int64();
    if (value !== (value | 0)) throw dataLoss(`${value} is no int32 (at byte ${this.position})`);
    return value;
  }

  fixed32(): number {
    const at = this.#take(4);
    const { bytes } = this;
    return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
  }

  /** A length-delimited field: a view, not a copy. */
  lengthDelimited(): Uint8Array {
    const length = this.varint();
    const at = this.#take(length);
    return this.bytes.subarray(at, at + length);
  }

  /** A reader over a length-delimited submessage. */
  message(): WireReader {
    const length = this.varint();
    const at = this.#take(length);
    return new WireReader(this.bytes, at, at + length);
  }

  /** Narrows the reader to the length-delimited field at its position. Returns what {@link leave} takes. */
  enter(): number {
    const length = this.varint();
    const outer = this.end;
    const at = this.#take(length);
    this.position = at;
    this.end = at + length;
    return outer;
  }

  /** Goes on behind the field that was entered. */
  leave(outer: number): void {
    this.position = this.end;
    this.end = outer;
  }

  /** The next field's number × 8 + wire type. */
  tag(): number {
    const tag = this.varint();
    if (tag >= TWO_32 || tag < 8) throw dataLoss(`${tag} is no field tag (at byte ${this.position})`);
    return tag;
  }

  /** Skips the value of a field this version doesn't know. */
  skip(tag: number): void {
    switch (tag % 8) {
      case WireType.varint:
        this.#varintHalves();
        break;
      case WireType.fixed64:
        this.#take(8);
        break;
      case WireType.bytes:
        this.#take(this.varint());
        break;
      case WireType.fixed32:
        this.#take(4);
        break;
      default:
        throw dataLoss(`wire type ${tag % 8} is not one of protobuf's (at byte ${this.position})`);
    }
  }

  #take(length: number): number {
    const at = this.position;
    if (length > this.end - at) {
      throw dataLoss(`${length} bytes are announced at byte ${at}, ${this.end - at} are there`);
    }
    this.position = at + length;
    return at;
  }

  /** Returns the low 32 bits as an unsigned number and leaves the high ones in #high. */
  #varintHalves(): number {
    let low = 0;
    let high = 0;
    for (let index = 0; index < 10; index++) {
      if (this.position >= this.end) throw dataLoss(`the data end within a number (at byte ${this.position})`);
      const byte = this.bytes[this.position++]!;
      const bits = byte & 0x7f;
      if (index < 4) low |= bits << (7 * index);
      else if (index === 4) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (index < 9) high |= bits << (7 * index - 32);
      else if (bits > 1) break;
      else high |= bits << 31;
      if (byte < 0x80) {
        this.#high = high;
        return low >>> 0;
      }
    }
    throw dataLoss(`a number has more than 64 bits (at byte ${this.position})`);
  }
}

/**
 * A writer's first texts go through Node's own encoder: before a loop over characters is compiled, it takes longer than
 * all the rest of a process's first save. The next go through that loop, where they are short: then a call takes longer.
 */
const TEXTS_BEFORE_LOOP = 2048;
/** UTF-16 units. */
const LOOPED_TEXT = 128;

/** Appends to memory that grows. Positions stay valid, views of the memory don't. */
export class WireWriter {
  #bytes: Buffer;
  #length = 0;
  /** Texts written by Buffer. */
  #texts = 0;
  #wordView: Int32Array = new Int32Array(0);

  constructor(capacity = 256) {
    // Not zeroed and not pooled: an index of a million tensors has 80 MB, touched once.
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(16, capacity));
  }

  get length(): number {
    return this.#length;
  }

  /** The memory, of which the first {@link length} bytes are written. Valid until the next call. */
  get memory(): Uint8Array {
    return this.#bytes;
  }

  /** Makes room for `count` more bytes and returns the memory. */
  reserve(count: number): Uint8Array {
    const needed = this.#length + count;
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    return this.#bytes;
  }

  byte(value: number): void {
    this.reserve(1)[this.#length++] = value;
  }

  /** `value`: an integer from −2^53 to 2^53; negative ones as ten-byte two's complement. */
  varint(value: number): void {
    const bytes = this.reserve(10);
    let at = this.#length;
    if (value >= 0) {
      let rest = value;
      while (rest > 0x7fffffff) {
        bytes[at++] = (rest % 128) | 0x80;
        rest = Math.floor(rest / 128);
      }
      while (rest > 127) {
        bytes[at++] = (rest & 0x7f) | 0x80;
        rest >>>= 7;
      }
      bytes[at++] = rest;
    } else {
      // −v is ~(v − 1): the groups of v − 1, inverted; the sign fills the rest of the 64 bits.
      let rest = -(value + 1);
      for (let i = 0; i < 9; i++) {
        bytes[at++] = (~(rest % 128) & 0x7f) | 0x80;
        rest = Math.floor(rest / 128);
      }
      bytes[at++] = 1;
    }
    this.#length = at;
  }

  fixed32(value: number): void {
    const bytes = this.reserve(4);
    const at = this.#length;
    bytes[at] = value & 0xff;
    bytes[at + 1] = (value >>> 8) & 0xff;
    bytes[at + 2] = (value >>> 16) & 0xff;
    bytes[at + 3] = value >>> 24;
    this.#length = at + 4;
  }

  append(data: Uint8Array, start = 0, end = data.length): void {
    const count = end - start;
    const bytes = this.reserve(count);
    const at = this.#length;
    if (count < 64) {
      // A view and a call cost more than the bytes of a typical key.
      for (let i = 0; i < count; i++) bytes[at + i] = data[start + i]!;
    } else {
      bytes.set(data.subarray(start, end), at);
    }
    this.#length = at + count;
  }

  /** Appends what another writer holds, from `start` on; a view of it would cost more than the copy. */
  appendWritten(other: WireWriter, start = 0): void {
    this.append(other.#bytes, start, other.#length);
  }

  /** How many bytes this and another writer have in common from the start. */
  sharedWith(other: WireWriter): number {
    const mine = this.#bytes;
    const theirs = other.#bytes;
    const limit = Math.min(this.#length, other.#length);
    // Four bytes at a time first: keys share most of theirs, and this runs before it is compiled, too.
    const myWords = this.#words();
    const theirWords = other.#words();
    const wordLimit = limit >>> 2;
    let words = 0;
    while (words < wordLimit && myWords[words] === theirWords[words]) words++;
    let shared = words * 4;
    while (shared < limit && mine[shared] === theirs[shared]) shared++;
    return shared;
  }

  /** The memory in words of four bytes. */
  #words(): Int32Array {
    if (this.#wordView.buffer !== this.#bytes.buffer) {
      this.#wordView = new Int32Array(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length >>> 2);
    }
    return this.#wordView;
  }

  /** `value` in UTF-8. */
  text(value: string): void {
    if (this.#texts >= TEXTS_BEFORE_LOOP && this.#shortAscii(value)) return;
    this.#texts++;
    // A UTF-16 unit takes three bytes at most.
    if (this.#bytes.length - this.#length < value.length * 3) this.reserve(Buffer.byteLength(value));
    this.#length += this.#bytes.write(value, this.#length);
  }

  /** Appends `value` if that is short and ASCII, as names mostly are; else false, and nothing is appended. */
  #shortAscii(value: string): boolean {
    const count = value.length;
    if (count > LOOPED_TEXT) return false;
    const bytes = this.reserve(count);
    const start = this.#length;
    for (let i = 0; i < count; i++) {
      const unit = value.charCodeAt(i);
      if (unit > 127) return false;
      bytes[start + i] = unit;
    }
    this.#length = start + count;
    return true;
  }

  /** A field whose value is a number, left out where that is zero, as proto3 has it. */
  numberField(tag: number, value: number): void {
    if (value === 0) return;
    this.byte(tag);
    if (value > 0 && value < 128) this.byte(value);
    else this.varint(value);
  }

  /** A field whose value is text, left out where that is empty. */
  textField(tag: number, value: string): void {
    if (value === '') return;
    this.byte(tag);
    const start = this.open();
    this.text(value);
    this.close(start);
  }

  /**
   * Begins a length-delimited part, whose content is what is written until {@link close}. Returns its position, for
   * close(). Parts may contain parts.
   */
  open(): number {
    this.byte(0);
    return this.#length;
  }

  /** Ends the part that began at `start`: its length takes its place before it. */
  close(start: number): void {
    this.setLength(start, this.#length - start);
  }

  /** Puts a length into the place that {@link open} left before `start`, moving what follows if it needs more room. */
  setLength(start: number, length: number): void {
    if (length < 128) {
      this.#bytes[start - 1] = length;
      return;
    }
    const end = this.#length;
    const more = varintLength(length) - 1;
    this.reserve(more);
    this.#bytes.copyWithin(start + more, start, end);
    this.#length = start - 1;
    this.varint(length);
    this.#length = end + more;
  }

  /** Forgets what was written from `length` on. */
  truncate(length: number): void {
    this.#length = length;
  }

  clear(): void {
    this.#length = 0;
  }

  /** A view of what was written: valid until the next call. */
  view(): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset, this.#length);
  }

  /** What was written, handed over: the writer is empty again and has other memory. */
  finish(): Uint8Array {
    const { buffer, byteOffset } = this.#bytes;
    const written = new Uint8Array(buffer, byteOffset, this.#length);
    this.#bytes = Buffer.allocUnsafeSlow(16);
    this.#length = 0;
    return written;
  }
}

/** Bytes that a non-negative varint takes. */
export function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) length++;
  return length;
}
