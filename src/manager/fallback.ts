import { basename, dirname } from 'node:path';
import { indexPath } from '../bundle/index.ts';
import type { LoadStatus } from '../checkpoint/load-status.ts';
import { CheckpointError, isCheckpointError } from '../errors.ts';
import { readDirectory, stat } from '../native/engine.ts';
import { takeInventory } from './inventory.ts';
import type { ManagerState } from './state.ts';

/** A checkpoint that couldn't be restored. */
export interface Skipped {
  readonly path: string;
  readonly error: CheckpointError;
}

/** What was restored in the end, and what was passed over for it. */
export interface Restored {
  readonly path: string;
  readonly skipped: readonly Skipped[];
  readonly status: LoadStatus;
}

/**
 * Restores the newest checkpoint that is whole, with `restore`.
 *
 * @param passedOver is told of the damaged ones when nothing is left to try, before this throws.
 * @throws CheckpointError the first damage, or all of them in one, if nothing could be restored; any other failure at once.
 */
export async function restoreNewest(
  candidates: AsyncIterable<string>,
  restore: (path: string) => Promise<LoadStatus>,
  passedOver: (skipped: readonly Skipped[]) => void,
): Promise<Restored> {
  const skipped: Skipped[] = [];
  for await (const path of candidates) {
    try {
      return { path, skipped, status: await restore(path) };
    } catch (error) {
      if (!isDamage(error)) throw error;
      skipped.push({ path, error });
    }
  }
  passedOver(skipped);
  throw nothingRestored(skipped);
}

/**
 * What to restore, best first: the latest, then the state file's other paths from the newest on, then the other whole
 * checkpoints of this name from the newest on, preserved ones too. The directory is only looked at when the list is
 * used up.
 */
export async function* restoreCandidates(state: ManagerState, prefix: string): AsyncGenerator<string> {
  const tried = new Set<string>();
  const known = [...state.listed, ...state.managed.keys(), state.latest].reverse();
  for (const path of known) {
    if (path === null || tried.has(path)) continue;
    tried.add(path);
    yield path;
  }
  const directory = dirname(prefix);
  const names = (await readDirectory(directory)) ?? [];
  const found: { path: string; number: number; modified: number }[] = [];
  for (const { path, number, whole } of takeInventory(directory, basename(prefix), names)) {
    if (!whole || tried.has(path)) continue;
    const modified = (await stat(indexPath(path)))?.mtimeMs;
    if (modified !== undefined) found.push({ path, number, modified });
  }
  found.sort((a, b) => b.modified - a.modified || b.number - a.number);
  for (const { path } of found) yield path;
}

/** Whether an older checkpoint is the answer to this error: the files are gone or damaged, not the program wrong. */
function isDamage(error: unknown): error is CheckpointError {
  if (!isCheckpointError(error)) return false;
  if (error.code === 'IO_ERROR') return error.errno === 'EIO';
  return error.code === 'DATA_LOSS' || error.code === 'NOT_FOUND' || error.code === 'OUT_OF_RANGE';
}

/** The error of a restore that has tried everything. */
function nothingRestored(skipped: readonly Skipped[]): CheckpointError {
  const first = skipped[0]!;
  if (skipped.length === 1) return first.error;
  const overwritten = [...new Set(skipped.flatMap(({ error }) => error.overwritten ?? []))];
  return new CheckpointError(
    first.error.code,
    `None of ${skipped.length} checkpoints can be restored. ${skipped.map(({ path, error }) => `${path}: ${error.message}`).join(' ')}`,
    {
      path: first.path,
      problems: skipped.map(({ path, error }) => ({ code: error.code, message: error.message, path })),
      overwritten: overwritten.length === 0 ? undefined : overwritten,
      cause: first.error,
    },
  );
}
