import { inTurns, type Steps, type Turns } from '../steps.ts';
import type { DType } from '../tensor/dtypes.ts';
import type { StoredEntry } from './messages.ts';
import { NumberColumn } from './number-column.ts';
import { RowMap } from './row-map.ts';
import type { TensorSlice } from './types.ts';
import { WireWriter } from './wire-writer.ts';

const NO_SLICES: readonly TensorSlice[] = [];

/** What an entry takes in an index, about, with what its key doesn't share with the last one. */
const ENTRY_BYTES = 40;

/**
 * So many keys are found by a Map of texts, which V8 hashes and compares itself: a resume runs once, and loops over bytes take
 * long before they are compiled. A Map of a million would hold the event loop for a tenth of a second whenever it grows.
 */
export const MAPPED_KEYS = 2 ** 14;

/** The entries of an index in the order of their keys, as columns: StoredEntries are made when they are asked for. */
export class IndexTable extends RowMap<StoredEntry> {
  readonly dtypes: DType[] = [];
  readonly shapes: (readonly number[])[] = [];
  readonly shards: NumberColumn<Uint32Array>;
  readonly offsets: NumberColumn<Float64Array>;
  readonly sizes: NumberColumn<Float64Array>;
  readonly checksums: NumberColumn<Uint32Array>;
  /** Of the tensors that are stored in slices. */
  readonly slices = new Map<number, readonly TensorSlice[]>();
  /** The keys' bytes, one after the other; that of row i begins at `#keyStart[i]`. */
  readonly #text: WireWriter;
  readonly #keyStart: NumberColumn<Float64Array>;
  /** Rows by key, where those are few. */
  #byKey: Map<string, number> | undefined;
  /** Else open addressing by the hash of a key's bytes: a row + 1, or 0. */
  #slots = new Uint32Array(1);
  /** Whoever makes up an index can't know which of its keys meet in a slot. */
  readonly #seed = Math.floor(Math.random() * 2 ** 32);

  /** @param bytes that the index has. */
  constructor(bytes: number) {
    super();
    const rows = Math.ceil(bytes / ENTRY_BYTES);
    this.shards = NumberColumn.uint32(rows);
    this.offsets = NumberColumn.float64(rows);
    this.sizes = NumberColumn.float64(rows);
    this.checksums = NumberColumn.uint32(rows);
    this.#keyStart = NumberColumn.float64(rows + 1);
    this.#keyStart.push(0);
    this.#text = new WireWriter(bytes);
  }

  get size(): number {
    return this.offsets.length;
  }

  /** Appends an entry, whose key is the first `keyLength` bytes of `key`. */
  add(key: Uint8Array, keyLength: number, entry: StoredEntry): void {
    const row = this.size;
    this.#text.append(key, 0, keyLength);
    this.#keyStart.push(this.#text.length);
    this.dtypes.push(entry.dtype);
    this.shapes.push(entry.shape);
    this.shards.push(entry.shard);
    this.offsets.push(entry.offset);
    this.sizes.push(entry.size);
    this.checksums.push(entry.crc32c);
    if (entry.slices.length > 0) this.slices.set(row, entry.slices);
  }

  /** To be called once all are there: before, none is found. */
  *complete(turns: Turns): Steps<void> {
    if (this.size <= MAPPED_KEYS) {
      const byKey = new Map<string, number>();
      yield* inTurns(turns, this.size, (first, end) => {
        for (let row = first; row < end; row++) byKey.set(this.keyAt(row), row);
      });
      this.#byKey = byKey;
      return;
    }
    const slots = new Uint32Array(2 ** Math.ceil(Math.log2(2 * this.size + 2)));
    const last = slots.length - 1;
    const text = this.#text.memory;
    yield* inTurns(turns, this.size, (first, end) => {
      for (let row = first; row < end; row++) {
        let slot = this.#hash(text, this.#keyStart.at(row), this.#keyStart.at(row + 1)) & last;
        while (slots[slot] !== 0) slot = (slot + 1) & last;
        slots[slot] = row + 1;
      }
    });
    this.#slots = slots;
  }

  find(key: string): number {
    if (this.#byKey !== undefined) return this.#byKey.get(key) ?? -1;
    if (typeof key !== 'string' || !key.isWellFormed()) return -1;
    const wanted = Buffer.from(key);
    const { length } = wanted;
    const text = this.#text.memory;
    const last = this.#slots.length - 1;
    for (let slot = this.#hash(wanted, 0, length) & last; this.#slots[slot] !== 0; slot = (slot + 1) & last) {
      const row = this.#slots[slot]! - 1;
      const start = this.#keyStart.at(row);
      if (this.#keyStart.at(row + 1) - start !== length) continue;
      let at = 0;
      while (at < length && text[start + at] === wanted[at]) at++;
      if (at === length) return row;
    }
    return -1;
  }

  keyAt(row: number): string {
    return this.#text.memory.toString('utf8', this.#keyStart.at(row), this.#keyStart.at(row + 1));
  }

  valueAt(row: number): StoredEntry {
    return {
      dtype: this.dtypes[row]!,
      shape: this.shapes[row]!,
      shard: this.shards.at(row),
      offset: this.offsets.at(row),
      size: this.sizes.at(row),
      crc32c: this.checksums.at(row),
      slices: this.slices.get(row) ?? NO_SLICES,
    };
  }

  /** FNV-1a with a seed and MurmurHash's finish: the low bits choose the slot. */
  #hash(bytes: Uint8Array, start: number, end: number): number {
    let hash = this.#seed;
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    return (hash ^ (hash >>> 13)) >>> 0;
  }
}
