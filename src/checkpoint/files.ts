import { dirname } from 'node:path';
import { readDirectorySync, runSave } from '../native/engine.ts';
import { absolutePrefix } from './checkpoint.ts';
import { removeFiles } from './checkpoint-files.ts';
import { composeState } from './commit.ts';
import { enterPrefix, leavePrefix } from './lanes.ts';

/** Smallest staging a program may have; these programs move no tensors. */
const NO_TENSORS = { threads: 0, stagingBytes: 0, copy: false, direct: false, progress: false };

/**
 * Writes a state file: to a temporary name, synced, renamed, its directory synced.
 *
 * @internal for the manager.
 */
export async function writeStateFile(path: string, text: string, options: { durable?: boolean } = {}): Promise<void> {
  const { durable = true } = options;
  await runSave(composeState({ path, text, deletions: [] }, { ...NO_TENSORS, durable })).finished;
}

/**
 * Removes the files of a checkpoint, index first. Missing ones are fine. Waits for a write to this prefix.
 *
 * @throws CheckpointError IO_ERROR for a file that can't be removed.
 */
export async function removeCheckpoint(prefix: string, options: { durable?: boolean } = {}): Promise<void> {
  const path = absolutePrefix(prefix, 'removeCheckpoint');
  await enterPrefix(path);
  try {
    if (readDirectorySync(dirname(path)) !== null) await removeFiles(path, options.durable ?? true);
  } finally {
    leavePrefix(path);
  }
}
