/** The other half of wire-reader.ts, as much of it as TypeScript writes: heads of strings, and what is compared with a file. */

/** Fewer bytes are copied one by one. For more, a call with a view: a resume runs once, and a loop takes long before it is compiled. */
export const COPIED_SINGLY = 16;

/** Appends to memory that grows. Positions stay valid, views of the memory don't. */
export class WireWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(capacity = 256) {
    // Not zeroed and not pooled: the keys of a million tensors take 60 MB, touched once.
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(16, capacity));
  }

  get length(): number {
    return this.#length;
  }

  /** Makes room for `count` more bytes and returns the memory. */
  #reserve(count: number): Uint8Array {
    const needed = this.#length + count;
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    return this.#bytes;
  }

  byte(value: number): void {
    this.#reserve(1)[this.#length++] = value;
  }

  /** `value`: an integer from 0 to 2^53. */
  varint(value: number): void {
    const bytes = this.#reserve(10);
    let at = this.#length;
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
    this.#length = at;
  }

  fixed32(value: number): void {
    const bytes = this.#reserve(4);
    const at = this.#length;
    bytes[at] = value & 0xff;
    bytes[at + 1] = (value >>> 8) & 0xff;
    bytes[at + 2] = (value >>> 16) & 0xff;
    bytes[at + 3] = value >>> 24;
    this.#length = at + 4;
  }

  append(data: Uint8Array, start = 0, end = data.length): void {
    const count = end - start;
    const bytes = this.#reserve(count);
    const at = this.#length;
    if (count < COPIED_SINGLY) {
      for (let i = 0; i < count; i++) bytes[at + i] = data[start + i]!;
    } else {
      bytes.set(data.subarray(start, end), at);
    }
    this.#length = at + count;
  }

  /** A view of what was written: valid until the next call. */
  view(): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset, this.#length);
  }
}
