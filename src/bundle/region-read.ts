/** Turns "this box of this tensor, into that memory" into extents of a load program. */

import { elementSize } from '../tensor/dtypes.ts';
import { type MemoryRange, viewBytes } from '../tensor/memory.ts';
import type { DeviceMemory } from '../tensor/source.ts';
import { type Box, commonRuns, volume } from './boxes.ts';
import type { LoadBuilder } from './load-builder.ts';
import type { StoredPart } from './stored-parts.ts';
import type { Keyed } from './types.ts';

/** Above this many separate runs a part is read in larger pieces and taken apart in memory. */
const MAX_DIRECT_RUNS = 65_536;

/** Memory for such a piece, and how much unneeded data between two runs is rather read than skipped. Bytes. */
const PIECE_BYTES = 32 * 2 ** 20;
const GAP_BYTES = 2 ** 20;
const PIECE_RUNS = 2 ** 20;

/** Whether to sum a part: `undefined` sums what is read whole anyway. */
export type Verify = boolean | undefined;

/** Whether the part has too many runs for {@link addPart}; then {@link readInPieces} fills the target. */
export function needsPieces(part: StoredPart, target: Box): boolean {
  return commonRuns(part.box, target).count > MAX_DIRECT_RUNS;
}

/** Adds the bytes of `part` that lie in `target`; with a checksum to compare, also the others, only to be summed. */
export function addPart(
  builder: LoadBuilder,
  keyed: Keyed,
  path: string,
  part: StoredPart,
  target: Box,
  into: MemoryRange | DeviceMemory,
  verify: Verify,
): void {
  const { entry } = part;
  if (entry.size === 0) return;
  const bytes = elementSize(entry.dtype);
  const runs = commonRuns(part.box, target);
  const whole = runs.length * runs.count === volume(part.box);
  const sum = verify ?? whole;
  builder.tensor(keyed, sum ? entry.crc32c : null);
  let read = 0;
  for (const [partOffset, targetOffset] of runs.all()) {
    const start = partOffset * bytes;
    if (sum && start > read) builder.extent(path, entry.offset + read, start - read, null);
    builder.extent(path, entry.offset + start, runs.length * bytes, into, targetOffset * bytes);
    read = start + runs.length * bytes;
  }
  if (sum && read < entry.size) builder.extent(path, entry.offset + read, entry.size - read, null);
}

/** Reads a part of very many runs: pieces of the file, each then distributed. `load` reads bytes of the data file. */
export async function readInPieces(
  part: StoredPart,
  target: Box,
  into: MemoryRange,
  load: (fileOffset: number, piece: Uint8Array) => Promise<void>,
): Promise<void> {
  const { entry } = part;
  const bytes = elementSize(entry.dtype);
  const runs = commonRuns(part.box, target);
  const runBytes = runs.length * bytes;
  for (const piece of pieces(part, target)) {
    const scratch = new Uint8Array(piece.end - piece.start);
    await load(entry.offset + piece.start, scratch);
    for (let i = 0; i < piece.from.length; i++) {
      const at = piece.from[i]! - piece.start;
      viewBytes(into, piece.to[i]!, runBytes).set(scratch.subarray(at, at + runBytes));
    }
  }
}

interface Piece {
  /** Bytes of the part. */
  start: number;
  end: number;
  /** Per run: byte offset in the part and in the target. */
  from: number[];
  to: number[];
}

function* pieces(part: StoredPart, target: Box): Generator<Piece> {
  const bytes = elementSize(part.entry.dtype);
  const runs = commonRuns(part.box, target);
  const runBytes = runs.length * bytes;
  let piece: Piece | null = null;
  for (const [partOffset, targetOffset] of runs.all()) {
    const start = partOffset * bytes;
    const end = start + runBytes;
    const full =
      piece !== null &&
      (start - piece.end > GAP_BYTES || end - piece.start > PIECE_BYTES || piece.from.length >= PIECE_RUNS);
    if (piece === null || full) {
      if (piece !== null) yield piece;
      piece = { start, end, from: [], to: [] };
    }
    piece.end = end;
    piece.from.push(start);
    piece.to.push(targetOffset * bytes);
  }
  if (piece !== null) yield piece;
}
