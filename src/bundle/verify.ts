import { isCheckpointError } from '../errors.ts';
import { inTurns, promiseOf, ShortTurns, type Steps, type Turns } from '../steps.ts';
import { throwIfAborted } from './abort.ts';
import { wholeBox } from './boxes.ts';
import { BundleFiles } from './bundle-files.ts';
import type { StoredEntry } from './messages.ts';
import { indexPath } from './names.ts';
import { readIndexFile } from './open-index.ts';
import { type ParsedIndex, parseIndexSteps } from './parse-index.ts';
import { storedParts } from './stored-parts.ts';
import { StoredPieces, type StoredSlice } from './stored-pieces.ts';
import { PieceVerifier, type VerifyOptions } from './verify-pieces.ts';
import { type VerifyProblem, VerifyProblems } from './verify-problems.ts';

export type { VerifyOptions, VerifyProblem };

export interface VerifyReport {
  /** No problem was found. */
  readonly ok: boolean;
  readonly problems: readonly VerifyProblem[];
  /** Tensors (and parts of sliced tensors) whose bytes were read and summed. */
  readonly tensors: number;
  /** Their bytes. */
  readonly bytes: number;
}

/**
 * Reads a checkpoint whole and reports everything that is wrong with it: every block of the index, every tensor's
 * checksum, every data file's size. The whole index counts, its padding too; a data file ends with its last tensor's
 * last byte, and padding between tensors is no one's.
 *
 * @throws CheckpointError INVALID_ARGUMENT or ABORTED only; all else is in the report.
 */
export async function verifyBundle(prefix: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const problems = new VerifyProblems();
  const turns = new ShortTurns();
  const done = (tensors: number, bytes: number): VerifyReport => ({
    ok: problems.list.length === 0,
    problems: problems.list,
    tensors,
    bytes,
  });
  throwIfAborted(options.signal);
  const index = await problems.attempt(async () => {
    const parse = { path: indexPath(prefix), strict: true, onProblem: problems.report.bind(problems) };
    return await promiseOf(parseIndexSteps(await readIndexFile(prefix), parse, turns));
  });
  throwIfAborted(options.signal);
  if (index === undefined) return done(0, 0);
  const indexIsWhole = problems.list.length === 0;
  const pieces = new StoredPieces(index, await promiseOf(checkSlices(index, problems, turns)));
  const files = new BundleFiles(prefix, index.shardCount);
  const { tensors, bytes } = await new PieceVerifier(pieces, files, problems, options, turns).run(indexIsWhole);
  return done(tensors, bytes);
}

/** The parts of tensors that are stored in slices, which they must cover. */
function* checkSlices(index: ParsedIndex, problems: VerifyProblems, turns: Turns): Steps<StoredSlice[]> {
  const keyOf = new Map<StoredEntry, string>();
  const { entries } = index;
  const sliced = [...entries.slices.keys()];
  const check = (first: number, end: number): void => {
    for (const row of sliced.slice(first, end)) {
      const key = entries.keyAt(row);
      const entry = entries.valueAt(row);
      try {
        for (const part of storedParts(index, key, entry, wholeBox(entry.shape))) keyOf.set(part.entry, key);
      } catch (error) {
        if (!isCheckpointError(error)) throw error;
        problems.report(error);
      }
    }
  };
  yield* inTurns(turns, sliced.length, check);
  const parts = [...index.parts].filter(([, entry]) => entry.slices.length === 0);
  return parts.map(([key, entry]) => ({ key: keyOf.get(entry) ?? JSON.stringify(key), entry }));
}
