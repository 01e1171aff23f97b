import { type DType, elementSize } from '../tensor/dtypes.ts';
import { sameShape } from '../tensor/shape.ts';
import { areDisjoint, type Box, intersect, sliceBox, volume, wholeBox } from './boxes.ts';
import { dataLoss } from './damage.ts';
import type { StoredEntry } from './messages.ts';
import { type ParsedIndex, partKey } from './parse-index.ts';
import { encodeSliceKey } from './slice-keys.ts';
import type { TensorSlice } from './types.ts';

/** A piece of a tensor that lies contiguously in one data file. A plain tensor is one piece. */
export interface StoredPart {
  readonly box: Box;
  readonly entry: StoredEntry;
}

/**
 * The pieces of a tensor that `target` needs. DATA_LOSS if a part is missing or contradicts the tensor, if parts
 * overlap, or if they don't cover the target.
 */
export function storedParts(index: ParsedIndex, key: string, entry: StoredEntry, target: Box): StoredPart[] {
  if (entry.slices.length === 0) return [{ box: wholeBox(entry.shape), entry }];
  const boxes = entry.slices.map((slice) => sliceBox(slice, entry.shape));
  if (!areDisjoint([...boxes])) throw dataLoss(`the slices of '${key}' overlap`, { key });
  const parts: StoredPart[] = [];
  let covered = 0;
  boxes.forEach((box, i) => {
    const common = intersect(box, target);
    if (common === null) return;
    const part = index.parts.get(partKey(encodeSliceKey(key, entry.slices[i]!)));
    if (part === undefined) throw dataLoss(`a slice of '${key}' is missing from the index`, { key });
    if (part.dtype !== entry.dtype || part.slices.length > 0 || !sameShape(part.shape, box.length)) {
      throw dataLoss(`a slice of '${key}' has another dtype or shape than the tensor says`, { key });
    }
    covered += volume(common);
    parts.push({ box, entry: part });
  });
  if (covered !== volume(target))
    throw dataLoss(`the stored slices of '${key}' don't cover what is asked for`, { key });
  return parts;
}

/** Bytes that a tensor of slices takes in the data files, as far as the index tells. */
export function storedByteLength(
  index: ParsedIndex,
  key: string,
  slices: readonly TensorSlice[],
  dtype: DType,
  shape: readonly number[],
): number {
  let size = 0;
  for (const slice of slices) {
    const part = index.parts.get(partKey(encodeSliceKey(key, slice)));
    size += part?.size ?? volume(sliceBox(slice, shape)) * elementSize(dtype);
  }
  return size;
}
