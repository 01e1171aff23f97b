import { basename, dirname } from 'node:path';
import { indexPath, parseDataName } from '../bundle/index.ts';
import { CheckpointError } from '../errors.ts';
import { readDirectorySync, runSave } from '../native/engine.ts';
import { type CheckpointFiles, composeRemoval } from './commit.ts';
import { parseIndexMark } from './temporary-names.ts';
import { describeWarning } from './warnings.ts';
import type { WriteWarning } from './write-handle.ts';

/**
 * Removes the files of a checkpoint: the index, then, once that is durable, the data, and the marks of writes that died.
 * Missing files are fine.
 */
export async function removeFiles(prefix: string, durable: boolean): Promise<void> {
  const names = readDirectorySync(dirname(prefix));
  if (names === null) return;
  const files = checkpointFiles(prefix, names);
  const own = { index: files.index, data: [...files.data, ...marks(prefix, names)] };
  const failures: WriteWarning[] = [];
  const options = { threads: 0, stagingBytes: 0, copy: false, durable, direct: false, progress: false };
  await runSave(composeRemoval([own], options), {
    onWarning: (warning) => {
      if (warning.kind !== 'missing') failures.push(describeWarning(warning));
    },
  }).finished;
  const first = failures[0];
  if (first !== undefined) {
    throw new CheckpointError('IO_ERROR', `${prefix} could not be removed: ${first.message}`, { path: first.path });
  }
}

/** A checkpoint's own files among the names in its directory: exactly these, whatever glob characters it holds. */
export function checkpointFiles(prefix: string, names: readonly string[]): CheckpointFiles {
  return { index: indexPath(prefix), data: dataFiles(prefix, names) };
}

/** The marks of writes of a prefix among the names in its directory: of one under way, and of those that died. */
export function marks(prefix: string, names: readonly string[]): string[] {
  const base = basename(prefix);
  return names
    .filter((name) => parseIndexMark(name)?.base === base)
    .map((name) => `${prefix}${name.slice(base.length)}`);
}

/** The data files of a prefix among the names in its directory, of whatever shard count. */
export function dataFiles(prefix: string, names: readonly string[]): string[] {
  const base = basename(prefix);
  return names
    .filter((name) => name.startsWith(base) && parseDataName(name)?.base === base)
    .map((name) => `${prefix}${name.slice(base.length)}`);
}
