import { inTurns, type Steps, type Turns } from '../steps.ts';
import { dtypeNumber } from '../tensor/dtypes.ts';
import { dataLoss } from './damage.ts';
import { hashOf, IndexTable, randomSeed } from './index-table.ts';
import type { StoredEntry } from './messages.ts';
import { NumberColumn } from './number-column.ts';
import type { TensorSlice } from './types.ts';
import { WireWriter } from './wire-writer.ts';

/** What an entry takes in an index, about, with what its key doesn't share with the last one. */
const ENTRY_BYTES = 40;

/** Keys that share much with their neighbours take more memory than the file does, and someone may have meant that. */
const MAX_TEXT_BYTES = 2 ** 32 - 1;

/** Collects the entries of an index, in the order of their keys. */
export class IndexTableBuilder {
  readonly #dtypes: NumberColumn<Uint32Array>;
  readonly #shapes: NumberColumn<Uint32Array>;
  readonly #dims = NumberColumn.float64();
  readonly #dimEnd = NumberColumn.uint32();
  readonly #shards: NumberColumn<Uint32Array>;
  readonly #offsets: NumberColumn<Float64Array>;
  readonly #sizes: NumberColumn<Float64Array>;
  readonly #checksums: NumberColumn<Uint32Array>;
  readonly #slices = new Map<number, readonly TensorSlice[]>();
  readonly #text: WireWriter;
  readonly #keyStart: NumberColumn<Uint32Array>;
  /** The next tensor often has the same. */
  #lastShape: readonly number[] | undefined;

  /** @param bytes that the index has. */
  constructor(bytes: number) {
    const rows = Math.ceil(bytes / ENTRY_BYTES);
    this.#dtypes = NumberColumn.uint32(rows);
    this.#shapes = NumberColumn.uint32(rows);
    this.#shards = NumberColumn.uint32(rows);
    this.#offsets = NumberColumn.float64(rows);
    this.#sizes = NumberColumn.float64(rows);
    this.#checksums = NumberColumn.uint32(rows);
    this.#keyStart = NumberColumn.uint32(rows + 1);
    this.#keyStart.push(0);
    this.#text = new WireWriter(bytes);
  }

  /** Appends an entry, whose key is the first `keyLength` bytes of `key`. */
  add(key: Uint8Array, keyLength: number, entry: StoredEntry): void {
    const row = this.#offsets.length;
    this.#text.append(key, 0, keyLength);
    if (this.#text.length > MAX_TEXT_BYTES) throw dataLoss('the keys of the index take more than 4 GiB');
    this.#keyStart.push(this.#text.length);
    if (entry.shape !== this.#lastShape) this.#addShape(entry.shape);
    this.#dtypes.push(dtypeNumber(entry.dtype));
    this.#shapes.push(this.#dimEnd.length - 1);
    this.#shards.push(entry.shard);
    this.#offsets.push(entry.offset);
    this.#sizes.push(entry.size);
    this.#checksums.push(entry.crc32c);
    if (entry.slices.length > 0) this.#slices.set(row, entry.slices);
  }

  /** Once all are there. */
  *finish(shards: number, turns: Turns): Steps<IndexTable> {
    const count = this.#offsets.length;
    const seed = randomSeed();
    const slots = new Uint32Array(2 ** Math.ceil(Math.log2(2 * count + 2)));
    const last = slots.length - 1;
    const text = this.#text.view();
    const start = this.#keyStart.view();
    yield* inTurns(turns, count, (first, end) => {
      for (let row = first; row < end; row++) {
        let slot = hashOf(text, start[row]!, start[row + 1]!, seed) & last;
        while (slots[slot] !== 0) slot = (slot + 1) & last;
        slots[slot] = row + 1;
      }
    });
    const rows = {
      shards,
      dtype: Uint8Array.from(this.#dtypes.view()),
      shape: this.#shapes.view(),
      dims: this.#dims.view(),
      dimEnd: this.#dimEnd.view(),
      shard: this.#shards.view(),
      offset: this.#offsets.view(),
      size: this.#sizes.view(),
      crc32c: this.#checksums.view(),
      keys: { text, start, slots, seed },
    };
    return new IndexTable(rows, this.#slices);
  }

  #addShape(shape: readonly number[]): void {
    for (const dimension of shape) this.#dims.push(dimension);
    this.#dimEnd.push(this.#dims.length);
    this.#lastShape = shape;
  }
}
