import type { IndexRows } from '../native/decode.ts';
import { type DType, dtypeFromNumber } from '../tensor/dtypes.ts';
import type { StoredEntry } from './messages.ts';
import { RowMap } from './row-map.ts';
import type { TensorSlice } from './types.ts';

const NO_SLICES: readonly TensorSlice[] = [];

/** The entries of an index in the order of their keys, over columns: StoredEntries are made when they are asked for. */
export class IndexTable extends RowMap<StoredEntry> {
  readonly rows: IndexRows;
  /** Of the tensors that are stored in slices. */
  readonly slices: ReadonlyMap<number, readonly TensorSlice[]>;
  readonly #text: Buffer;
  /** By number, once asked for. */
  readonly #shapes: (readonly number[])[];

  constructor(rows: IndexRows, slices: ReadonlyMap<number, readonly TensorSlice[]> = new Map()) {
    super();
    this.rows = rows;
    this.slices = slices;
    const { text } = rows.keys;
    this.#text = Buffer.from(text.buffer, text.byteOffset, text.byteLength);
    this.#shapes = new Array(rows.dimEnd.length);
  }

  get size(): number {
    return this.rows.dtype.length;
  }

  find(key: string): number {
    if (typeof key !== 'string' || !key.isWellFormed()) return -1;
    const { start, slots, seed } = this.rows.keys;
    const wanted = Buffer.from(key);
    const { length } = wanted;
    const text = this.#text;
    const last = slots.length - 1;
    for (let slot = hashOf(wanted, 0, length, seed) & last; slots[slot] !== 0; slot = (slot + 1) & last) {
      const row = slots[slot]! - 1;
      const from = start[row]!;
      if (start[row + 1]! - from !== length) continue;
      let at = 0;
      while (at < length && text[from + at] === wanted[at]) at++;
      if (at === length) return row;
    }
    return -1;
  }

  keyAt(row: number): string {
    const { start } = this.rows.keys;
    return this.#text.toString('utf8', start[row]!, start[row + 1]!);
  }

  dtypeAt(row: number): DType {
    return dtypeFromNumber(this.rows.dtype[row]!)!;
  }

  shapeAt(row: number): readonly number[] {
    const number = this.rows.shape[row]!;
    let shape = this.#shapes[number];
    if (shape === undefined) {
      shape = this.#shape(number);
      this.#shapes[number] = shape;
    }
    return shape;
  }

  valueAt(row: number): StoredEntry {
    const { shard, offset, size, crc32c } = this.rows;
    return {
      dtype: this.dtypeAt(row),
      shape: this.shapeAt(row),
      shard: shard[row]!,
      offset: offset[row]!,
      size: size[row]!,
      crc32c: crc32c[row]!,
      slices: this.slices.get(row) ?? NO_SLICES,
    };
  }

  #shape(number: number): readonly number[] {
    const { dims, dimEnd } = this.rows;
    return Object.freeze([...dims.subarray(number === 0 ? 0 : dimEnd[number - 1]!, dimEnd[number]!)]);
  }
}

/** Whoever makes up an index can't know which of its keys meet in a slot. */
export function randomSeed(): number {
  return Math.floor(Math.random() * 2 ** 32);
}

/** As native/format/key_table.h: FNV-1a with a seed and MurmurHash's finish, whose low bits choose the slot. */
export function hashOf(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let hash = seed;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
