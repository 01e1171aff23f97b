/**
 * The index file and the object graph, read: what contract-encode.ts is to writing. Native reads the plain kind, which is what
 * training writes, on threads of its own, into columns; of anything else, and of damage, it says no more than that, and the
 * parsers of bundle/ and checkpoint/ take over. What crosses the border are bytes and numbers, no strings.
 */

import type { TextColumn } from './contract-encode.ts';
import type { NativeError } from './contract-events.ts';

/** Keys, found by open addressing: a slot holds a row + 1, or 0. By native/format/key_table.h. */
export interface KeyColumns extends TextColumn {
  readonly slots: Uint32Array;
  /** Of the hash that chooses the slot. */
  readonly seed: number;
}

/** The tensors of an index, in the order of their keys' bytes. */
export interface IndexRows {
  readonly shards: number;
  /** TensorFlow's DataType numbers. */
  readonly dtype: Uint8Array;
  /** The number of each tensor's shape; the dimensions of shape i are those of `dims` before `dimEnd[i]`. */
  readonly shape: Uint32Array;
  readonly dims: Float64Array;
  readonly dimEnd: Uint32Array;
  readonly shard: Uint32Array;
  readonly offset: Float64Array;
  readonly size: Float64Array;
  /** Unmasked. */
  readonly crc32c: Uint32Array;
  readonly keys: KeyColumns;
}

/** An index file: its rows, or, where it is not of the plain kind, its bytes. */
export interface FoundIndex {
  readonly rows?: IndexRows;
  readonly bytes?: Uint8Array;
}

/** ASCII texts, each behind the last one, in the bytes that were read. */
export interface TextRows {
  readonly start: Uint32Array;
  readonly end: Uint32Array;
}

/** A stored object graph. What belongs to node n are the rows from `…Start[n]` up to `…Start[n + 1]`. */
export interface GraphRows {
  readonly childStart: Int32Array;
  readonly childIds: Int32Array;
  readonly childNames: TextRows;
  readonly attributeStart: Int32Array;
  /** Each a number in `attributeNames`. */
  readonly attributes: Uint32Array;
  readonly attributeNames: TextRows;
  readonly keys: TextRows;
  /** The row of each key in the index, −1 for one that it doesn't have. */
  readonly entryRows: Int32Array;
  readonly slotStart: Int32Array;
  readonly slotVariables: Int32Array;
  readonly slotNames: TextRows;
  readonly slotIds: Int32Array;
  /** Whether a node or one below it has values: 0 no, 1 yes, 2 unknown. */
  readonly holds: Uint8Array;
}

export interface DecoderAddon {
  /**
   * Reads an index file. OUT_OF_RANGE beyond `maxBytes`.
   *
   * @param elementBytes what an element of each DataType takes: bytes, 0 where that varies, 255 for what can't be read.
   */
  readIndex(
    path: string,
    maxBytes: number,
    elementBytes: Uint8Array,
    seed: number,
    done: (error: NativeError | null, found?: FoundIndex) => void,
  ): void;
  /** Reads an object graph; null where it is not of the plain kind. The bytes must not be changed until then. */
  readGraph(
    stored: { readonly bytes: Uint8Array; readonly keys: KeyColumns },
    done: (error: NativeError | null, rows?: GraphRows | null) => void,
  ): void;
}
