/**
 * Where each tensor lies: a pure function of the structure (keys, dtypes, sizes) and the number of shards, never of
 * addresses or of the order in which tensors were given. Equal state gives equal files.
 */

import { float64Column, freeColumns, uint32Column } from '../native/columns.ts';
import { inTurns, type Steps, type Turns } from '../steps.ts';
import { MAX_SHARDS } from './names.ts';
import { sortedNumbers } from './sort.ts';

/** Tensors of at least this size start at a multiple of {@link ALIGNMENT}; the others are packed. Bytes. */
export const LARGE_TENSOR_BYTES = 64 * 1024;

/** Direct I/O wants file offsets at multiples of a block; 4096 satisfies every common device. */
export const ALIGNMENT = 4096;

/** What the layout needs to know of a tensor. Tensors are given in the order of their keys. */
export interface LayoutInput {
  readonly sizes: Float64Array;
  /** Element size, 0 for strings: they come last in a shard, so that a string's length moves no other tensor. */
  readonly elementSizes: Uint8Array;
}

export interface Layout {
  readonly shardCount: number;
  /** Tensors (indices into the input) in the order of shard and offset. */
  readonly order: Uint32Array;
  /** Per position in `order`. */
  readonly shard: Uint32Array;
  readonly offset: Float64Array;
  /** Size of each data file: the end of its last tensor. */
  readonly fileSizes: Float64Array;
}

const MiB = 2 ** 20;

/** Shards where the caller doesn't say: one below 64 MiB, then as many as let files be synced side by side. */
function defaultShardCount(totalBytes: number): number {
  if (totalBytes < 64 * MiB) return 1;
  if (totalBytes < 1024 * MiB) return 2;
  return 4;
}

export interface ShardRequest {
  readonly shards?: number | undefined;
  readonly maxShardBytes?: number | undefined;
  readonly avoidShardCounts?: ReadonlySet<number> | undefined;
}

/**
 * Lays the tensors out in as many shards as asked for, at most one a tensor. Where `maxShardBytes` or
 * `avoidShardCounts` exclude that number, the next larger one that they allow is taken, then the next smaller one.
 *
 * Every shard holds a tensor, because MergeV2Checkpoints fails on a bundle whose header counts a shard without one.
 * The one exception: all counts up to the number of tensors are taken (a single tensor whose prefix is replaced). Then
 * the header counts more shards than there are files, which every reader accepts; only merging such a bundle fails.
 */
export function* layOut(input: LayoutInput, request: ShardRequest, turns: Turns): Steps<Layout> {
  const { sizes } = input;
  const tensors = sizes.length;
  let total = 0;
  for (let i = 0; i < tensors; i++) total += sizes[i]!;
  const most = Math.max(1, Math.min(tensors, MAX_SHARDS));
  const wanted = Math.min(most, request.shards ?? defaultShardCount(total));
  const limit = request.maxShardBytes ?? Number.POSITIVE_INFINITY;
  const avoid = request.avoidShardCounts ?? new Set<number>();

  const least = Math.max(wanted, leastShards(input, limit, most));
  if (least === 1 && limit === Number.POSITIVE_INFINITY && !avoid.has(1)) {
    return yield* place(input, uint32Column(tensors), 1, turns);
  }
  // Largest first, equal ones in the order of keys.
  const bySize = yield* sortedNumbers(tensors, (a, b) => sizes[b]! - sizes[a]!, turns);
  for (const count of counts(least, most)) {
    if (avoid.has(count)) continue;
    const assigned = yield* assign(input, bySize, count, limit, turns);
    if (assigned !== null) return yield* place(input, assigned, count, turns);
  }
  const assigned = (yield* assign(input, bySize, most, limit, turns)) ?? uint32Column(tensors);
  let count = most + 1;
  while (avoid.has(count)) count++;
  return yield* place(input, assigned, count, turns);
}

/** The shard counts to try: from `least` up to `most`, then from `least` down to 1. */
function* counts(least: number, most: number): Generator<number> {
  for (let count = least; count <= most; count++) yield count;
  for (let count = least - 1; count >= 1; count--) yield count;
}

/** Upper bound of what a tensor takes in its file, with the padding before it. */
function footprint(input: LayoutInput, tensor: number): number {
  const size = input.sizes[tensor]!;
  if (input.elementSizes[tensor] === 0) return size;
  return size >= LARGE_TENSOR_BYTES ? alignUp(size, ALIGNMENT) : alignUp(size, 16);
}

function leastShards(input: LayoutInput, limit: number, most: number): number {
  if (limit === Number.POSITIVE_INFINITY) return 1;
  let oversize = 0;
  let rest = 0;
  for (let i = 0; i < input.sizes.length; i++) {
    const bytes = footprint(input, i);
    if (bytes > limit) oversize++;
    else rest += bytes;
  }
  return Math.max(1, Math.min(most, oversize + Math.ceil(rest / limit)));
}

/**
 * Largest first, each to the shard with the fewest bytes (Graham's LPT rule): within 4/3 of the best balance. Returns
 * the shard of each tensor, or null if a shard would exceed the limit. Tensors over the limit are alone in theirs.
 */
function* assign(
  input: LayoutInput,
  bySize: Uint32Array,
  count: number,
  limit: number,
  turns: Turns,
): Steps<Uint32Array | null> {
  const shardOf = uint32Column(bySize.length);
  if (count === 1 && limit === Number.POSITIVE_INFINITY) return shardOf;
  const heap = new ShardHeap(count);
  let exceeded = false;
  yield* inTurns(turns, bySize.length, (first, end) => {
    for (let i = first; i < end && !exceeded; i++) {
      const tensor = bySize[i]!;
      const bytes = footprint(input, tensor);
      if (bytes > limit) {
        // They come first, so each takes an empty shard; it is then closed.
        if (heap.load() !== 0) exceeded = true;
        else shardOf[tensor] = heap.add(Number.POSITIVE_INFINITY);
        continue;
      }
      // The first `count` tensors go to shards of their own, even empty ones: every shard holds a tensor.
      if (heap.load() + bytes > limit) exceeded = true;
      else shardOf[tensor] = heap.add(bytes);
    }
  });
  return exceeded ? null : shardOf;
}

/** Shards by (bytes, tensors, number), least first. */
class ShardHeap {
  readonly #bytes: Float64Array;
  readonly #tensors: Uint32Array;
  readonly #heap: Uint32Array;

  constructor(count: number) {
    this.#bytes = new Float64Array(count);
    this.#tensors = new Uint32Array(count);
    this.#heap = Uint32Array.from({ length: count }, (_, i) => i);
  }

  load(): number {
    return this.#bytes[this.#heap[0]!]!;
  }

  /** Adds a tensor to the least loaded shard and returns that. */
  add(bytes: number): number {
    const heap = this.#heap;
    const shard = heap[0]!;
    this.#bytes[shard]! += bytes;
    this.#tensors[shard]! += 1;
    let at = 0;
    for (;;) {
      let least = at;
      for (let child = 2 * at + 1; child <= 2 * at + 2 && child < heap.length; child++) {
        if (this.#less(heap[child]!, heap[least]!)) least = child;
      }
      if (least === at) return shard;
      [heap[at], heap[least]] = [heap[least]!, heap[at]!];
      at = least;
    }
  }

  #less(a: number, b: number): boolean {
    const bytes = this.#bytes[a]! - this.#bytes[b]!;
    if (bytes < 0 || bytes > 0) return bytes < 0;
    const tensors = this.#tensors[a]! - this.#tensors[b]!;
    return tensors === 0 ? a < b : tensors < 0;
  }
}

/**
 * Within a shard: large tensors at aligned offsets, then small ones packed, then strings; each group by key.
 *
 * @param shardOf is used up.
 */
function* place(input: LayoutInput, shardOf: Uint32Array, shardCount: number, turns: Turns): Steps<Layout> {
  const { sizes, elementSizes } = input;
  const tensors = shardOf.length;
  const groupOf = (tensor: number): number => {
    const kind = elementSizes[tensor] === 0 ? 2 : sizes[tensor]! >= LARGE_TENSOR_BYTES ? 0 : 1;
    return shardOf[tensor]! * 3 + kind;
  };
  let files = 1;
  for (let i = 0; i < tensors; i++) files = Math.max(files, shardOf[i]! + 1);
  // A counting sort by group: first how many there are, then each to the next place of its group.
  const next = new Uint32Array(files * 3 + 1);
  yield* inTurns(turns, tensors, (first, end) => {
    for (let tensor = first; tensor < end; tensor++) next[groupOf(tensor) + 1]!++;
  });
  for (let group = 0; group < files * 3; group++) next[group + 1]! += next[group]!;
  const order = uint32Column(tensors);
  yield* inTurns(turns, tensors, (first, end) => {
    for (let tensor = first; tensor < end; tensor++) order[next[groupOf(tensor)]!++] = tensor;
  });

  const shard = uint32Column(tensors);
  const offset = float64Column(tensors);
  const fileSizes = new Float64Array(files);
  yield* inTurns(turns, tensors, (first, end) => {
    for (let at = first; at < end; at++) {
      const tensor = order[at]!;
      const size = sizes[tensor]!;
      const elementSize = elementSizes[tensor]!;
      const file = shardOf[tensor]!;
      const isLarge = elementSize > 0 && size >= LARGE_TENSOR_BYTES;
      // An empty tensor takes no padding either: a shard ends at its last used byte.
      const alignment = isLarge ? ALIGNMENT : size === 0 ? 1 : Math.max(1, elementSize);
      const start = alignUp(fileSizes[file]!, alignment);
      shard[at] = file;
      offset[at] = start;
      fileSizes[file] = start + size;
    }
  });
  freeColumns(shardOf);
  return { shardCount, order, shard, offset, fileSizes };
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}
