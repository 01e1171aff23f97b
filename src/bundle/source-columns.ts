import { float64Column, freeColumns, uint32Column } from '../native/columns.ts';
import type { MemoryRange } from '../tensor/memory.ts';
import type { DeviceMemory, TensorSource } from '../tensor/source.ts';
import { BufferNumbers } from './buffer-numbers.ts';
import type { ObjectColumn } from './object-column.ts';
import { type StoredStrings, storedStrings } from './strings.ts';

/** What is no memory of JavaScript's, or says more than where that is. */
export type OtherSource = StoredStrings | DeviceMemory | Extract<TensorSource, { readonly kind: 'address' }>;

/**
 * Where the bytes of the tensors to be saved are, a row each. Objects, of which there may be a million, are looked at once,
 * here: planning reads columns, and what is planned is what was there when the row was made. Strings are copied.
 */
export class SourceColumns {
  /** Bytes as they are stored. */
  readonly byteLength: Float64Array;
  /** Of the rows in memory of JavaScript's: the number of its buffer, and where they begin in that. Bytes. */
  readonly buffer: Uint32Array;
  readonly byteOffset: Float64Array;
  /** The other rows. */
  readonly others = new Map<number, OtherSource>();
  readonly #buffers = new BufferNumbers();

  constructor(rows: number) {
    this.byteLength = float64Column(rows);
    this.buffer = uint32Column(rows);
    this.byteOffset = float64Column(rows);
  }

  static of(sources: readonly TensorSource[]): SourceColumns {
    const columns = new SourceColumns(sources.length);
    sources.forEach((source, row) => {
      columns.set(row, source);
    });
    return columns;
  }

  /** By their numbers. */
  get buffers(): ObjectColumn<ArrayBufferLike> {
    return this.#buffers.buffers;
  }

  /** Fills a row in, once; rows may come in any order. */
  set(row: number, source: TensorSource | StoredStrings): void {
    if (source.kind === 'memory') this.#setMemory(row, source.bytes);
    else if (source.kind === 'strings') this.#setOther(row, storedStrings(source.elements));
    else this.#setOther(row, source);
  }

  /** Once planned: a plan has its own. */
  free(): void {
    freeColumns(this.byteLength, this.buffer, this.byteOffset);
  }

  #setMemory(row: number, bytes: MemoryRange): void {
    this.byteLength[row] = bytes.byteLength;
    this.byteOffset[row] = bytes.byteOffset;
    this.buffer[row] = this.#buffers.numberOf(bytes);
  }

  #setOther(row: number, source: OtherSource): void {
    this.others.set(row, source);
    if (source.kind === 'stored' && source.bytes instanceof Uint8Array) this.#setMemory(row, source.bytes);
    else this.byteLength[row] = source.kind === 'stored' ? source.bytes.byteLength : source.byteLength;
  }
}
