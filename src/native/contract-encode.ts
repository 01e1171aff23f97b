/**
 * The parts of a checkpoint that grow with the number of its tensors and aren't tensors: the index file and the object graph.
 * TypeScript says what is in them, in columns; native makes bytes of it, piece by piece, so that the event loop may turn in
 * between. Names, of which there may be a million, cross the border once: as strings they would weigh on every garbage
 * collection, and take a call each wherever they are looked at.
 */

/** Something that native makes. What it is made from must not be changed until it is finished. */
export interface Encoder<T> {
  /** Does about `count` (from 1) rows more; false once all is done. */
  write(count: number): boolean;
  /** Once all is done, and once. */
  finish(): T;
}

/**
 * Bytes that native has made for itself, and that JavaScript only hands on. No ArrayBuffer: V8 would look through its whole
 * heap for what to free instead. They never change, and are freed with this object.
 */
export interface NativeBytes {
  readonly address: number;
  readonly byteLength: number;
  copy(): ArrayBuffer;
}

/** Texts in UTF-8, one after the other: that of row i begins at `start[i]` and ends where the next one begins. */
export interface TextColumn {
  readonly text: Uint8Array;
  readonly start: Uint32Array;
}

/** The rows of a column by their texts' bytes. */
export interface SortedTexts {
  readonly rows: Uint32Array;
  /** A row whose text another one has, too; null where each is different. */
  readonly repeated: number | null;
}

/** What the keys of a tree's values follow from. Node 0 is the root. */
export interface PathColumns {
  /** By node: the one above it; of a slot variable −1 − its optimizer. A smaller number than its own. */
  readonly above: Int32Array;
  /** By node: its row in `edgeNames`; of a slot variable in `slotVariables` and `slotNames`. */
  readonly name: Int32Array;
  readonly edgeNames: TextColumn;
  readonly slotVariables: Int32Array;
  readonly slotNames: TextColumn;
  /** The values of node n are those from `valueStart[n]` up to `valueStart[n + 1]`. */
  readonly valueStart: Int32Array;
  /** By value: the row of its attribute in `suffixes`, which is what follows the path of the node. */
  readonly attributes: Uint32Array;
  readonly suffixes: TextColumn;
  /** Keys that follow those of the values. */
  readonly others: TextColumn;
}

/** An index file. Entries are in the order of their keys' bytes; tensors are numbered in the order of shard and offset. */
export interface IndexColumns {
  readonly shards: number;
  /** Each entry's key is row `order[entry]`. */
  readonly keys: TextColumn;
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
  readonly bytes: NativeBytes;
  /** By tensor: where its masked CRC-32C belongs. */
  readonly checksumAt: Float64Array;
  /** The masked CRC-32C of [start, start + length) belongs to `position`. */
  readonly seals: { readonly start: Float64Array; readonly length: Float64Array; readonly position: Float64Array };
}

/** TensorFlow's `TrackableObjectGraph`. What belongs to node n are the rows from `…Start[n]` up to `…Start[n + 1]`. */
export interface GraphColumns {
  readonly childStart: Int32Array;
  readonly childIds: Int32Array;
  readonly childNames: TextColumn;
  /** Values: the rows of their attributes in `attributeNames`, and the keys under which they are stored; there may be more keys. */
  readonly valueStart: Int32Array;
  readonly attributes: Uint32Array;
  readonly attributeNames: TextColumn;
  readonly keys: TextColumn;
  readonly slotStart: Int32Array;
  readonly slotVariables: Int32Array;
  readonly slotNames: TextColumn;
  readonly slotIds: Int32Array;
}

/** A graph as the bundle stores it: a string tensor of one element. */
export interface EncodedGraph {
  readonly bytes: NativeBytes;
  /** The entry's, unmasked. */
  readonly checksum: number;
}

export interface EncoderAddon {
  encodeTexts(strings: readonly string[]): Encoder<TextColumn>;
  sortTexts(texts: TextColumn): Encoder<SortedTexts>;
  encodeKeys(columns: PathColumns): Encoder<TextColumn>;
  encodeIndex(columns: IndexColumns): Encoder<EncodedIndex>;
  encodeGraph(columns: GraphColumns): Encoder<EncodedGraph>;
}
