import { join } from 'node:path';
import { composeRemoval } from '../../checkpoint/commit.ts';
import { removeCheckpoint } from '../../checkpoint/index.ts';
import { STATE_FILE_NAME } from '../../checkpoint/state-file.ts';
import { runSave } from '../../native/engine.ts';

/**
 * Deletes a directory's state file, then the checkpoints: a crash in between leaves files that nothing names, never
 * names of files that are gone. The directory stays. What can't be deleted is a process warning.
 */
export async function removeBackup(directory: string, checkpoints: readonly string[]): Promise<void> {
  const options = { threads: 0, stagingBytes: 0, copy: false, durable: true, direct: false, progress: false };
  const stateFile = join(directory, STATE_FILE_NAME);
  if (checkpoints.length === 0) return;
  try {
    await runSave(composeRemoval([{ index: stateFile, data: [] }], options)).finished;
    for (const path of checkpoints) await removeCheckpoint(path);
  } catch (error) {
    const message = `The training is done, but its backup in ${directory} is still there: ${error instanceof Error ? error.message : error}`;
    process.emitWarning(message, { type: 'CheckpointWarning', code: 'backup' });
  }
}
