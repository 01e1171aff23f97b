/** Geometry of slices: boxes in a tensor, and the contiguous runs that two of them share. */

import { CheckpointError, invalidArgument } from '../errors.ts';
import { describeShape } from '../tensor/shape.ts';
import type { TensorSlice } from './types.ts';

/** A box: start and length in every dimension. */
export interface Box {
  readonly start: readonly number[];
  readonly length: readonly number[];
}

export function wholeBox(shape: readonly number[]): Box {
  return { start: shape.map(() => 0), length: shape };
}

/** The box of a slice that was already checked against `shape`. */
export function sliceBox(slice: TensorSlice, shape: readonly number[]): Box {
  return {
    start: slice.map((extent) => extent?.[0] ?? 0),
    length: slice.map((extent, d) => extent?.[1] ?? shape[d]!),
  };
}

/** The box of a slice that a caller asks for: INVALID_ARGUMENT if it is malformed, OUT_OF_RANGE if not in the tensor. */
export function requestedBox(slice: TensorSlice, shape: readonly number[], key: string): Box {
  if (!Array.isArray(slice) || slice.length !== shape.length) {
    const given = Array.isArray(slice) ? `${slice.length} dimensions` : String(slice);
    throw invalidArgument(
      `A slice of '${key}', shape ${describeShape(shape)}, has one [start, length] or null a dimension; given ${given}.`,
      { key },
    );
  }
  slice.forEach((extent, d) => {
    if (extent === null) return;
    const isPair =
      Array.isArray(extent) && extent.length === 2 && extent.every((n) => Number.isSafeInteger(n) && n >= 0);
    if (!isPair) {
      throw invalidArgument(`Dimension ${d} of a slice of '${key}' is [start, length] of non-negative integers.`, {
        key,
      });
    }
    if (extent[0] + extent[1] > shape[d]!) {
      throw new CheckpointError(
        'OUT_OF_RANGE',
        `The slice [${extent[0]}, +${extent[1]}] lies outside dimension ${d} of '${key}', shape ${describeShape(shape)}.`,
        { key },
      );
    }
  });
  return sliceBox(slice, shape);
}

export function volume(box: Box): number {
  return box.length.reduce((product, length) => product * length, 1);
}

/** What both boxes cover, or null. */
export function intersect(a: Box, b: Box): Box | null {
  const start: number[] = [];
  const length: number[] = [];
  for (let d = 0; d < a.start.length; d++) {
    const from = Math.max(a.start[d]!, b.start[d]!);
    const to = Math.min(a.start[d]! + a.length[d]!, b.start[d]! + b.length[d]!);
    if (to <= from) return null;
    start.push(from);
    length.push(to - from);
  }
  return { start, length };
}

/** The runs of elements that `part` and `target`, both row-major in memory of their own, have in common. */
export interface Runs {
  /** Elements a run. */
  readonly length: number;
  readonly count: number;
  /** The runs in the order of both memories, offsets in elements. */
  all(): Iterable<readonly [partOffset: number, targetOffset: number]>;
}

export function commonRuns(part: Box, target: Box): Runs {
  const common = intersect(part, target);
  if (common === null) return { length: 0, count: 0, all: () => [] };
  const rank = common.start.length;
  // Dimensions from `inner` on are contiguous in both: everything behind the first of them is covered whole.
  let inner = rank;
  let length = 1;
  while (inner > 0) {
    inner--;
    length *= common.length[inner]!;
    const whole = common.length[inner] === part.length[inner] && common.length[inner] === target.length[inner];
    if (!whole) break;
  }
  const partStrides = strides(part.length);
  const targetStrides = strides(target.length);
  let partStart = 0;
  let targetStart = 0;
  let count = 1;
  for (let d = 0; d < rank; d++) {
    partStart += (common.start[d]! - part.start[d]!) * partStrides[d]!;
    targetStart += (common.start[d]! - target.start[d]!) * targetStrides[d]!;
    if (d < inner) count *= common.length[d]!;
  }
  return {
    length,
    count,
    *all() {
      const position = new Array<number>(inner).fill(0);
      let partOffset = partStart;
      let targetOffset = targetStart;
      for (let run = 0; run < count; run++) {
        yield [partOffset, targetOffset] as const;
        for (let d = inner - 1; d >= 0; d--) {
          partOffset += partStrides[d]!;
          targetOffset += targetStrides[d]!;
          position[d]! += 1;
          if (position[d]! < common.length[d]!) break;
          partOffset -= partStrides[d]! * common.length[d]!;
          targetOffset -= targetStrides[d]! * common.length[d]!;
          position[d] = 0;
        }
      }
    },
  };
}

function strides(lengths: readonly number[]): number[] {
  const result = new Array<number>(lengths.length).fill(1);
  for (let d = lengths.length - 2; d >= 0; d--) result[d] = result[d + 1]! * lengths[d + 1]!;
  return result;
}

/** Comparisons after which a set of slices is refused: only a made-up index needs that many. */
const MAX_COMPARISONS = 20_000_000;

/** Whether no two boxes overlap. */
export function areDisjoint(boxes: readonly Box[]): boolean {
  const rank = boxes[0]?.start.length ?? 0;
  const filled = boxes.filter((box) => volume(box) > 0);
  if (rank === 0) return filled.length < 2;
  // Sweep along the dimension that tells most boxes apart: for rows or columns, neighbours only meet.
  let axis = 0;
  let most = 0;
  for (let d = 0; d < rank; d++) {
    const starts = new Set(filled.map((box) => box.start[d])).size;
    if (starts > most) [most, axis] = [starts, d];
  }
  const sorted = filled.sort((a, b) => a.start[axis]! - b.start[axis]!);
  let comparisons = 0;
  for (let i = 0; i < sorted.length; i++) {
    const end = sorted[i]!.start[axis]! + sorted[i]!.length[axis]!;
    for (let j = i + 1; j < sorted.length && sorted[j]!.start[axis]! < end; j++) {
      if (++comparisons > MAX_COMPARISONS) {
        throw new CheckpointError('UNSUPPORTED', `a tensor of ${boxes.length} slices that interlock can't be checked`);
      }
      if (intersect(sorted[i]!, sorted[j]!) !== null) return false;
    }
  }
  return true;
}
