import type { StoredEntry } from './messages.ts';
import type { ParsedIndex } from './parse-index.ts';

/** A part of a tensor that is stored in slices, and that tensor's key. */
export interface StoredSlice {
  readonly key: string;
  readonly entry: StoredEntry;
}

/**
 * What lies in the data files of a checkpoint, each in one piece: its tensors, or their parts where they are stored in
 * slices. By number, and made when they are asked for: there may be a million.
 */
export class StoredPieces {
  readonly #index: ParsedIndex;
  readonly #slices: readonly StoredSlice[];

  constructor(index: ParsedIndex, slices: readonly StoredSlice[]) {
    this.#index = index;
    this.#slices = slices;
  }

  /** How many numbers there are; those of tensors in slices are no pieces. */
  get length(): number {
    return this.#index.entries.size + this.#slices.length;
  }

  has(piece: number): boolean {
    return !this.#index.entries.slices.has(piece);
  }

  key(piece: number): string {
    const { entries } = this.#index;
    return piece < entries.size ? entries.keyAt(piece) : this.#slices[piece - entries.size]!.key;
  }

  entry(piece: number): StoredEntry {
    const { entries } = this.#index;
    return piece < entries.size ? entries.valueAt(piece) : this.#slices[piece - entries.size]!.entry;
  }
}
