import { randomUUID } from 'node:crypto';

/**
 * Names of files that exist only while a save runs. A save begins by creating its temporary index, so that
 * `<prefix>.index.tmp-<pid>-<random>` marks the prefix as being written: whoever finds it later, under the directory's
 * lock, knows that a save died and which data files it may have left. The commit protocol creates these names, the
 * manager's recovery recognises them; both take them from here.
 */

const SUFFIX = /\.tmp-([0-9]+)-([0-9a-f]{12})$/;
const INDEX = '.index';

/** A name beside `path` that nobody else uses: rename(2) needs it on the same file system. */
export function temporaryName(path: string): string {
  // The last group of a random UUID is 12 random digits, and Node draws them for many at once.
  return `${path}.tmp-${process.pid}-${randomUUID().slice(-12)}`;
}

/** A save's mark: the prefix that was being written, and by which process. */
export interface Mark {
  /** Base name of the prefix; join it with the directory of the file. */
  readonly base: string;
  readonly pid: number;
}

/** What the file name (without its directory) says if it is the temporary index of a save, else undefined. */
export function parseIndexMark(fileName: string): Mark | undefined {
  const match = SUFFIX.exec(fileName);
  if (match === null) return undefined;
  const final = fileName.slice(0, match.index);
  if (!final.endsWith(INDEX) || final.length === INDEX.length) return undefined;
  return { base: final.slice(0, -INDEX.length), pid: Number(match[1]) };
}

/** Whether the file name (without its directory) is a temporary of the state file named `stateFileName`. */
export function isTemporaryStateFile(fileName: string, stateFileName = 'checkpoint'): boolean {
  const match = SUFFIX.exec(fileName);
  return match !== null && fileName.slice(0, match.index) === stateFileName;
}
