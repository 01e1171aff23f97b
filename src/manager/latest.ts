import { join, resolve } from 'node:path';
import {
  type CheckpointReader,
  indexPath,
  listVariables as listBundleVariables,
  loadVariable as loadBundleVariable,
  openCheckpoint,
  type VerifyOptions,
  type VerifyReport,
  verifyBundle,
} from '../bundle/index.ts';
import { optionsObject } from '../checkpoint/option-checks.ts';
import { normalizeReadOptions } from '../checkpoint/options.ts';
import { type CheckpointState, STATE_FILE_NAME } from '../checkpoint/state-file.ts';
import { CheckpointError, describeValue, invalidArgument, isCheckpointError } from '../errors.ts';
import { readFile, stat } from '../native/engine.ts';
import type { DType } from '../tensor/dtypes.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { interpretState } from './opening.ts';
import { fromDirectory } from './state.ts';

export { removeCheckpoint } from '../checkpoint/files.ts';

/** A state file lists paths; one of this size would be no state file. */
const MAX_STATE_BYTES = 256 * 1024 * 1024;

const VERIFY_NAMES: ReadonlySet<string> = new Set<keyof VerifyOptions>([
  'threads',
  'stagingBytes',
  'signal',
  'onProgress',
]);

/**
 * The state file of a directory, with full paths: tf.train.get_checkpoint_state.
 *
 * @returns null where there is none, or one that isn't text format (then with a process warning), as in TensorFlow.
 * @throws CheckpointError DATA_LOSS for a state file that is not UTF-8 or names no latest checkpoint.
 */
export async function getCheckpointState(directory: string): Promise<CheckpointState | null> {
  const absolute = absolutePath(directory, 'getCheckpointState');
  const path = join(absolute, STATE_FILE_NAME);
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path, MAX_STATE_BYTES);
  } catch (error) {
    if (isCheckpointError(error) && error.code === 'NOT_FOUND') return null;
    warn(`The state file ${path} can't be read and is ignored: ${error instanceof Error ? error.message : error}`);
    return null;
  }
  const file = interpretState(bytes);
  if ('problem' in file) {
    const message = `The state file ${path} can't be used: ${file.problem}`;
    if (file.isRefused) throw new CheckpointError('DATA_LOSS', message, { path });
    warn(`${message} It is ignored.`);
    return null;
  }
  const { state } = file;
  return {
    ...state,
    modelCheckpointPath: fromDirectory(absolute, state.modelCheckpointPath),
    allModelCheckpointPaths: state.allModelCheckpointPaths.map((listed) => fromDirectory(absolute, listed)),
  };
}

/**
 * The newest checkpoint that a directory's state file names, if its index is there: tf.train.latest_checkpoint.
 *
 * @returns null where there is none; with a process warning if the state file names one whose index is missing.
 */
export async function latestCheckpoint(directory: string): Promise<string | null> {
  const latest = (await getCheckpointState(directory))?.modelCheckpointPath;
  if (latest === undefined) return null;
  if (await checkpointExists(latest)) return latest;
  warn(`The state file in ${resolve(directory)} names ${latest}, and there is no ${indexPath(latest)}.`);
  return null;
}

/** Whether there is an index under this prefix. It isn't read: see {@link verifyCheckpoint}. */
export async function checkpointExists(prefix: string): Promise<boolean> {
  return (await stat(indexPath(absolutePath(prefix, 'checkpointExists')))) !== null;
}

/**
 * Opens a checkpoint, or the latest one of a directory, for reading single tensors: tf.train.load_checkpoint.
 *
 * @throws CheckpointError NOT_FOUND, DATA_LOSS
 */
export async function loadCheckpoint(prefixOrDirectory: string): Promise<CheckpointReader> {
  return await openCheckpoint(await resolvePrefix(prefixOrDirectory));
}

/** Names, dtypes and shapes of all variables of a checkpoint, or of the latest of a directory. */
export async function listVariables(
  prefixOrDirectory: string,
): Promise<Array<{ name: string; dtype: DType; shape: readonly number[] }>> {
  return await listBundleVariables(await resolvePrefix(prefixOrDirectory));
}

/**
 * One variable of a checkpoint, or of the latest of a directory.
 *
 * @throws CheckpointError NOT_FOUND, DATA_LOSS
 */
export async function loadVariable(prefixOrDirectory: string, name: string): Promise<HostTensor> {
  return await loadBundleVariable(await resolvePrefix(prefixOrDirectory), name);
}

/**
 * Reads and checks all of a checkpoint: every block of the index, every tensor, the size of every data file.
 *
 * @throws CheckpointError INVALID_ARGUMENT or ABORTED only: damage, and a missing index, are in the report.
 */
export async function verifyCheckpoint(prefix: string, options?: VerifyOptions): Promise<VerifyReport> {
  const what = 'verifyCheckpoint';
  const given = optionsObject(options, VERIFY_NAMES, what) as VerifyOptions;
  const { threads, stagingBytes, signal, onProgress } = normalizeReadOptions(given, what);
  return await verifyBundle(absolutePath(prefix, what), { threads, stagingBytes, signal, onProgress });
}

export async function resolvePrefix(prefixOrDirectory: string): Promise<string> {
  const path = absolutePath(prefixOrDirectory, 'loadCheckpoint');
  const found = await stat(path);
  if (found === null || !found.isDirectory) return path;
  const latest = await latestCheckpoint(path);
  if (latest === null) throw new CheckpointError('NOT_FOUND', `There is no checkpoint in ${path}.`, { path });
  return latest;
}

export function absolutePath(path: unknown, what: string): string {
  if (typeof path === 'string' && path !== '' && !path.includes('\0')) return resolve(path);
  throw invalidArgument(`${what} needs a path, not ${describeValue(path)}.`);
}

function warn(message: string): void {
  process.emitWarning(message, { type: 'CheckpointWarning' });
}
