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
    const { entries } = this.#index;
    const { shard, offset, size, crc32c } = entries.rows;
    const dtype = entries.dtypeAt(row);
    const shape = entries.shapeAt(row);
    const slices = entries.slices.get(row);
    if (slices === undefined) {
      return {
        dtype,
        shape,
        byteLength: size[row]!,
        shard: shard[row]!,
        offset: offset[row]!,
        crc32c: crc32c[row]!,
        slices: null,
      };
    }
    const byteLength = storedByteLength(this.#index, this.keyAt(row), slices, dtype, shape);
    return { dtype, shape, byteLength, shard: null, offset: null, crc32c: null, slices };
  }
}
