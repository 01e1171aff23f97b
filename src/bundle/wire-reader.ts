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
