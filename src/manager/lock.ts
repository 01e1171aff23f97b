import { CheckpointError, isCheckpointError } from '../errors.ts';
import { type DirectoryLock, lockDirectorySync } from '../native/engine.ts';

/**
 * The right to be the one manager of a directory: flock on the directory itself, so that no file is left behind and a
 * killed process gives it up.
 *
 * @returns null where the file system can't lock a directory (NFS); `onUnsupported` is then told.
 * @throws CheckpointError DIRECTORY_LOCKED
 */
export function lockForManager(directory: string, onUnsupported: (message: string) => void): DirectoryLock | null {
  try {
    return lockDirectorySync(directory);
  } catch (error) {
    if (!isCheckpointError(error)) throw error;
    if (error.code === 'UNSUPPORTED') {
      onUnsupported(
        `${directory} can't be locked on this file system: nothing stops a second manager there, see to it yourself.`,
      );
      return null;
    }
    if (error.code !== 'DIRECTORY_LOCKED') throw error;
    throw new CheckpointError(
      'DIRECTORY_LOCKED',
      `Another CheckpointManager is active in ${directory}, in this process or another one. close() it first, ` +
        'or open this one with readOnly: true to follow its checkpoints.',
      { path: directory, errno: error.errno, cause: error },
    );
  }
}
