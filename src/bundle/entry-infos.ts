import type { DType } from '../tensor/dtypes.ts';
import type { ParsedIndex } from './parse-index.ts';
import { RowMap } from './row-map.ts';
import { storedByteLength } from './stored-parts.ts';
import type { BundleEntryInfo, TensorSlice } from './types.ts';

/** What an index says about its tensors, by key. */
export class EntryInfos extends RowMap<BundleEntryInfo> {
  readonly #index: ParsedIndex;

  constructor(index: ParsedIndex) {
    super();
    this.#index = index;
  }

  get size(): number {
    return this.#index.entries.size;
  }

  find(key: string): number {
    return this.#index.entries.find(key);
  }

  keyAt(row: number): string {
    return this.#index.entries.keyAt(row);
  }

  valueAt(row: number): BundleEntryInfo {
    return new EntryInfo(this.#index, row);
  }

  /** The row of `key`, which `info`, where it is of this index, knows without a search. */
  rowOf(key: string, info: BundleEntryInfo | undefined): number {
    return info === undefined ? this.find(key) : (EntryInfo.rowIn(this.#index, info) ?? this.find(key));
  }
}

class EntryInfo implements BundleEntryInfo {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly byteLength: number;
  readonly shard: number | null;
  readonly offset: number | null;
  readonly crc32c: number | null;
  readonly slices: readonly TensorSlice[] | null;
  readonly #index: ParsedIndex;
  readonly #row: number;

  constructor(index: ParsedIndex, row: number) {
    const { entries } = index;
    const slices = entries.slices.get(row);
    this.dtype = entries.dtypes[row]!;
    this.shape = entries.shapes[row]!;
    this.byteLength =
      slices === undefined
        ? entries.sizes.at(row)
        : storedByteLength(index, entries.keyAt(row), slices, this.dtype, this.shape);
    this.shard = slices === undefined ? entries.shards.at(row) : null;
    this.offset = slices === undefined ? entries.offsets.at(row) : null;
    this.crc32c = slices === undefined ? entries.checksums.at(row) : null;
    this.slices = slices ?? null;
    this.#index = index;
    this.#row = row;
  }

  /** The row that this is about; undefined for what is of another index. */
  static rowIn(index: ParsedIndex, info: BundleEntryInfo): number | undefined {
    return #row in info && info.#index === index ? info.#row : undefined;
  }
}
