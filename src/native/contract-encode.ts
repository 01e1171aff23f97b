/**
 * The parts of a checkpoint that grow with the number of its tensors and aren't tensors: the index file and the object graph.
 * TypeScript says what is in them, in columns; native makes bytes of it. They are the exception to the rule that no string
 * crosses the border: their names are read in native, a piece at a time.
 */

/** An index file. Entries are in the order of their keys' bytes; tensors are numbered in the order of shard and offset. */
export interface IndexColumns {
  readonly shards: number;
  /** Each entry's key is `keys[order[entry]]`. */
  readonly keys: readonly string[];
  readonly order: Uint32Array;
  /** By entry: its tensor, dtype (TensorFlow's DataType number), shape (the dims before `dimEnd`), and size in bytes. */
  readonly tensor: Uint32Array;
  readonly dtype: Uint8Array;
  readonly dims: Float64Array;
  readonly dimEnd: Uint32Array;
  readonly size: Float64Array;
  /** By tensor. */
  readonly shard: Uint32Array;
  readonly offset: Float64Array;
}

export interface EncodedIndex {
  /** Complete but for checksums. */
  readonly bytes: Uint8Array;
  /** By tensor: where its masked CRC-32C belongs. */
  readonly checksumAt: Float64Array;
  /** The masked CRC-32C of [start, start + length) belongs to `position`. */
  readonly seals: { readonly start: Float64Array; readonly length: Float64Array; readonly position: Float64Array };
}

/** An index under way. The columns must not be changed until it is finished. */
export interface IndexEncoder {
  /** Adds entries from `first` up to `end`: from the first on, each once. */
  add(first: number, end: number): void;
  /** Once all are there. */
  finish(): EncodedIndex;
}

/** TensorFlow's `TrackableObjectGraph`. What belongs to node n are the rows from `…Start[n]` up to `…Start[n + 1]`. */
export interface GraphColumns {
  readonly childStart: Int32Array;
  readonly childIds: Int32Array;
  readonly childNames: readonly string[];
  /** Values: the attributes that they are, by their numbers in `attributeNames`, and the keys under which they are stored. */
  readonly valueStart: Int32Array;
  readonly attributes: Uint32Array;
  readonly attributeNames: readonly string[];
  readonly keys: readonly string[];
  readonly slotStart: Int32Array;
  readonly slotVariables: Int32Array;
  readonly slotNames: readonly string[];
  readonly slotIds: Int32Array;
  /** Bytes that are left free before the graph. */
  readonly room: number;
}

/** A graph under way. The columns must not be changed until it is finished. */
export interface GraphEncoder {
  /** Writes about `count` (from 1) edges, values, slots and nodes more; false once all are there. */
  write(count: number): boolean;
  /** Once all are there. */
  finish(): Uint8Array;
}

export interface EncoderAddon {
  encodeIndex(columns: IndexColumns): IndexEncoder;
  encodeGraph(columns: GraphColumns): GraphEncoder;
}
