import { type EncodedIndex, encodeIndex } from '../native/encode.ts';
import { inTurns, type Steps, type Turns } from '../steps.ts';
import { type DType, dtypeNumber, elementSize } from '../tensor/dtypes.ts';
import { elementCount } from '../tensor/shape.ts';
import { type Layout, layOut, type ShardRequest } from './layout.ts';
import { NumberColumn } from './number-column.ts';
import { sortedNumbers, sortsAsBytes } from './sort.ts';
import { compareBytes } from './table-format.ts';

/** The structure of a checkpoint: what layout and index depend on, and nothing else. */
export interface Structure {
  readonly keys: readonly string[];
  readonly dtypes: readonly DType[];
  readonly shapes: ReadonlyArray<readonly number[]>;
  readonly sizes: ArrayLike<number>;
  /** The numbers of the above by their keys' bytes. */
  readonly order: Uint32Array;
}

/**
 * The index file of a structure, complete but for checksums, and where each one goes. Built once and used by every
 * save of the same structure. Tensors are numbered in the order of shard and offset.
 */
export interface IndexTemplate extends EncodedIndex {
  readonly layout: Layout;
}

/** Entries that are encoded before the event loop may turn. */
const PIECE = 512;

export function* buildIndexTemplate(structure: Structure, request: ShardRequest, turns: Turns): Steps<IndexTemplate> {
  const { keys, dtypes, shapes, order } = structure;
  const count = keys.length;
  const elementSizes = new Uint8Array(count);
  const dtype = new Uint8Array(count);
  const dims = NumberColumn.float64(2 * count);
  const dimEnd = new Uint32Array(count);
  const size = new Float64Array(count);
  yield* inTurns(turns, count, (first, end) => {
    for (let entry = first; entry < end; entry++) {
      const given = order[entry]!;
      elementSizes[entry] = elementSize(dtypes[given]!);
      dtype[entry] = dtypeNumber(dtypes[given]!);
      for (const dimension of shapes[given]!) dims.push(dimension);
      dimEnd[entry] = dims.length;
      size[entry] = structure.sizes[given]!;
    }
  });
  const layout = yield* layOut({ sizes: size, elementSizes }, request, turns);
  const tensor = new Uint32Array(count);
  yield* inTurns(turns, count, (first, end) => {
    for (let number = first; number < end; number++) tensor[layout.order[number]!] = number;
  });
  const { shardCount: shards, shard, offset } = layout;
  const columns = { shards, keys, order, tensor, dtype, dims: dims.view(), dimEnd, size, shard, offset };
  const encoder = encodeIndex(columns);
  yield* inTurns(turns, count, (first, end) => encoder.add(first, end), PIECE);
  return { layout, ...encoder.finish() };
}

/** The order of `keys` by their UTF-8 bytes, as positions. */
export function* sortedByBytes(keys: readonly string[], turns: Turns): Steps<Uint32Array> {
  const count = keys.length;
  let plain = true;
  yield* inTurns(turns, count, (first, end) => {
    for (let i = first; plain && i < end; i++) plain = sortsAsBytes(keys[i]!);
  });
  if (plain) return yield* sortedNumbers(count, (a, b) => compareText(keys[a]!, keys[b]!), turns);
  const bytes = new Array<Buffer>(count);
  yield* inTurns(turns, count, (first, end) => {
    for (let i = first; i < end; i++) bytes[i] = Buffer.from(keys[i]!);
  });
  return yield* sortedNumbers(count, (a, b) => compareBytes(bytes[a]!, bytes[b]!), turns);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Bytes of a fixed-width tensor. */
export function fixedByteLength(dtype: DType, shape: readonly number[]): number {
  return elementCount(shape) * elementSize(dtype);
}
