import { Compression, FOOTER_BYTES, MAGIC } from '../../src/bundle/table-format.ts';
import { MessageWriter } from './message-writer.ts';

/** The bundle writer's settings in TensorFlow: equal entries give an equal file. */
const BLOCK_SIZE = 262_144;
const RESTART_INTERVAL = 16;
/** An entry this many times larger than a block starts a block of its own. */
const LARGE_ENTRY_RATIO = 2;

/** A finished table. The checksum of each block is still zero. */
export interface UnsealedTable {
  readonly bytes: Uint8Array;
  /** Per block: the masked CRC-32C of [start, start + length) goes to `position`. */
  readonly seals: { readonly start: Float64Array; readonly length: Float64Array; readonly position: Float64Array };
}

/** The sorted string table of native/format/sorted_table.cc, a second time and plainly: what native writes is compared with it. */
export class TableWriter {
  readonly #out = new MessageWriter(4096);
  readonly #index = new MessageWriter(1024);
  readonly #indexRestarts: number[] = [];
  readonly #seals: Array<{ start: number; length: number }> = [];
  #restarts: number[] = [0];
  #blockStart = 0;
  #sinceRestart = 0;
  #last: Uint8Array = new Uint8Array(0);
  #pending: { offset: number; size: number } | null = null;

  /**
   * Appends an entry, whose value `encode` appends to the writer that it is given; keys must increase strictly. Returns
   * the position behind the value in the finished table.
   */
  add(given: string | Uint8Array, encode: (value: MessageWriter) => void): number {
    const key = typeof given === 'string' ? Buffer.from(given) : given;
    const value = new MessageWriter();
    encode(value);
    const out = this.#out;
    if (out.length !== this.#blockStart && key.length + value.length >= LARGE_ENTRY_RATIO * BLOCK_SIZE) this.#flush();
    if (this.#pending !== null) {
      this.#addToIndex(shortestSeparator(this.#last, key), this.#pending);
      this.#pending = null;
    }
    const start = out.length;
    const isRestart = this.#sinceRestart === RESTART_INTERVAL;
    // The first key of a block shares nothing: its position is the block's first restart.
    let shared = 0;
    const mayShare = start !== this.#blockStart && !isRestart;
    while (mayShare && shared < key.length && key[shared] === this.#last[shared]) shared++;
    for (const number of [shared, key.length - shared, value.length]) out.varint(number);
    out.append(key, shared);
    out.append(value.view());
    if (isRestart) {
      this.#restarts.push(start - this.#blockStart);
      this.#sinceRestart = 0;
    }
    this.#last = key;
    this.#sinceRestart++;
    const end = out.length;
    if (end - this.#blockStart + 4 * this.#restarts.length + 4 >= BLOCK_SIZE) this.#flush();
    return end;
  }

  finish(): UnsealedTable {
    this.#flush();
    const out = this.#out;
    const metaindex = this.#endBlock([0]);
    if (this.#pending !== null) {
      this.#addToIndex(shortSuccessor(this.#last), this.#pending);
      this.#pending = null;
    }
    out.append(this.#index.view());
    const index = this.#endBlock(this.#indexRestarts.length === 0 ? [0] : this.#indexRestarts);
    const footerEnd = out.length + FOOTER_BYTES;
    for (const handle of [metaindex, index]) {
      out.varint(handle.offset);
      out.varint(handle.size);
    }
    while (out.length < footerEnd - MAGIC.length) out.byte(0);
    out.append(MAGIC);
    const count = this.#seals.length;
    const seals = {
      start: new Float64Array(count),
      length: new Float64Array(count),
      position: new Float64Array(count),
    };
    this.#seals.forEach((seal, i) => {
      seals.start[i] = seal.start;
      seals.length[i] = seal.length;
      seals.position[i] = seal.start + seal.length;
    });
    return { bytes: out.view(), seals };
  }

  #flush(): void {
    const out = this.#out;
    if (out.length === this.#blockStart) return;
    this.#pending = this.#endBlock(this.#restarts);
    this.#restarts = [0];
    this.#sinceRestart = 0;
  }

  #endBlock(restarts: readonly number[]): { offset: number; size: number } {
    const out = this.#out;
    for (const restart of restarts) out.fixed32(restart);
    out.fixed32(restarts.length);
    const offset = this.#blockStart;
    const size = out.length - offset;
    out.byte(Compression.none);
    this.#seals.push({ start: offset, length: size + 1 });
    out.fixed32(0);
    this.#blockStart = out.length;
    return { offset, size };
  }

  /** The index block has restart interval 1: no key shares a prefix. */
  #addToIndex(key: Uint8Array, handle: { offset: number; size: number }): void {
    const value = new MessageWriter(20);
    value.varint(handle.offset);
    value.varint(handle.size);
    this.#indexRestarts.push(this.#index.length);
    this.#index.varint(0);
    this.#index.varint(key.length);
    this.#index.varint(value.length);
    this.#index.append(key);
    this.#index.append(value.view());
  }
}

/** The shortest key in [last, next) that LevelDB's bytewise comparator finds. */
export function shortestSeparator(last: Uint8Array, next: Uint8Array): Uint8Array {
  const limit = Math.min(last.length, next.length);
  let shared = 0;
  while (shared < limit && last[shared] === next[shared]) shared++;
  if (shared >= limit) return last;
  const byte = last[shared]!;
  if (byte === 0xff || byte + 1 >= next[shared]!) return last;
  const separator = Uint8Array.from(last.subarray(0, shared + 1));
  separator[shared] = byte + 1;
  return separator;
}

/** A short key ≥ `last`: its first byte that can be incremented, incremented. */
export function shortSuccessor(last: Uint8Array): Uint8Array {
  const at = last.findIndex((byte) => byte !== 0xff);
  if (at < 0) return last;
  const successor = Uint8Array.from(last.subarray(0, at + 1));
  successor[at]! += 1;
  return successor;
}
