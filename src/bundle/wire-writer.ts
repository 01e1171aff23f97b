/** The other half of wire-reader.ts: protocol-buffer wire format, as much of it as the bundle's messages need. */

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
