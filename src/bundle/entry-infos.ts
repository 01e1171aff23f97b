import type { ParsedIndex } from './parse-index.ts';
import { RowMap } from './row-map.ts';
import { storedByteLength } from './stored-parts.ts';
import type { BundleEntryInfo } from './types.ts';

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
    const { dtype, shape, size, shard, offset, crc32c, slices } = this.#index.entries.valueAt(row);
    if (slices.length === 0) return { dtype, shape, byteLength: size, shard, offset, crc32c, slices: null };
    const byteLength = storedByteLength(this.#index, this.keyAt(row), slices, dtype, shape);
    return { dtype, shape, byteLength, shard: null, offset: null, crc32c: null, slices };
  }
}
