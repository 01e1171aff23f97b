import { float64Column, freeColumns, uint8Column, uint32Column } from '../native/columns.ts';
import { type EncodedIndex, encodeIndex } from '../native/encode.ts';
import { inTurns, type Steps, type Turns } from '../steps.ts';
import { type DType, dtypeNumber, elementSize } from '../tensor/dtypes.ts';
import { elementCount } from '../tensor/shape.ts';
import type { KeyColumn } from './key-column.ts';
import { type Layout, layOut, type ShardRequest } from './layout.ts';
import { NumberColumn } from './number-column.ts';

/** The structure of a checkpoint: what layout and index depend on, and nothing else. */
export interface Structure {
  readonly keys: KeyColumn;
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

export function* buildIndexTemplate(structure: Structure, request: ShardRequest, turns: Turns): Steps<IndexTemplate> {
  const { keys, dtypes, shapes, order } = structure;
  const count = keys.length;
  const elementSizes = uint8Column(count);
  const dtype = uint8Column(count);
  const dims = NumberColumn.float64(2 * count);
  const dimEnd = uint32Column(count);
  const size = float64Column(count);
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
  const tensor = uint32Column(count);
  yield* inTurns(turns, count, (first, end) => {
    for (let number = first; number < end; number++) tensor[layout.order[number]!] = number;
  });
  const { shardCount: shards, shard, offset } = layout;
  const columns = { shards, keys, order, tensor, dtype, dims: dims.view(), dimEnd, size, shard, offset };
  const encoded = yield* encodeIndex(columns, turns);
  freeColumns(elementSizes, tensor, dtype, columns.dims, dimEnd, size);
  return { layout, ...encoded };
}

/** Bytes of a fixed-width tensor. */
export function fixedByteLength(dtype: DType, shape: readonly number[]): number {
  return elementCount(shape) * elementSize(dtype);
}
