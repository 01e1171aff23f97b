import { relative, resolve } from 'node:path';
import type { CheckpointState } from '../checkpoint/state-file.ts';
import { invalidArgument } from '../errors.ts';

/** What a manager knows. Immutable: a save that fails has changed nothing because it never replaced this. Seconds. */
export interface ManagerState {
  /** Prefix of the newest checkpoint. */
  readonly latest: string | null;
  /** Checkpoints that may be deleted some day, oldest first: prefix → when it was saved. */
  readonly managed: ReadonlyMap<string, number>;
  /** When the last preserved checkpoint was saved. */
  readonly lastPreserved: number;
  /** Prefixes that the state file lists, managed or not, oldest first. */
  readonly listed: readonly string[];
  /** Prefixes that were managed and turned out damaged: the next sweep deletes them first. */
  readonly damaged: readonly string[];
}

/** Something about the state that the user should know. */
export interface StateWarning {
  readonly kind: string;
  readonly message: string;
  readonly path?: string;
}

/** A directory without a state file. A second back, so that a manager opened anew at once preserves what it saves. */
export function freshState(now: number): ManagerState {
  return { latest: null, managed: new Map(), lastPreserved: now - 1, listed: [], damaged: [] };
}

/** What a manager makes of a state file, at the time `now`. */
export function openState(
  file: CheckpointState,
  directory: string,
  now: number,
): { state: ManagerState; warnings: StateWarning[] } {
  const warnings: StateWarning[] = [];
  const { allModelCheckpointPaths, allModelCheckpointTimestamps: timestamps } = file;
  const listed = allModelCheckpointPaths.map((path) => fromDirectory(directory, path));
  let lastPreserved = file.lastPreservedTimestamp;
  if (now < lastPreserved) {
    const message =
      `The clock is ${lastPreserved - now} s behind the last preserved checkpoint: it was set back. ` +
      `The checkpoints in ${directory} are kept, and this manager won't delete them.`;
    warnings.push({ kind: 'clock', message, path: directory });
    lastPreserved = now;
  }
  if (timestamps.length > 0 && timestamps.length < listed.length) {
    const dropped = listed.slice(timestamps.length).join(', ');
    const message = `The state file in ${directory} has fewer timestamps than paths; not managed any more: ${dropped}.`;
    warnings.push({ kind: 'timestamps', message, path: directory });
  }
  const managed = new Map<string, number>();
  for (const [i, path] of listed.entries()) {
    const stored = timestamps.length === 0 ? lastPreserved : timestamps[i];
    if (stored === undefined) break;
    const time = Math.min(now, stored);
    if (time > lastPreserved) managed.set(path, time);
  }
  const latest = fromDirectory(directory, file.modelCheckpointPath);
  return { state: { latest, managed, lastPreserved, listed, damaged: [] }, warnings };
}

/** The state where the file is lost but checkpoints are there; `found` oldest first, times in seconds. */
export function recoveredState(
  found: readonly { readonly path: string; readonly time: number }[],
  now: number,
): ManagerState {
  const newest = found.at(-1);
  if (newest === undefined) return freshState(now);
  const managed = new Map(found.map(({ path, time }) => [path, Math.min(time, now)]));
  const oldest = Math.min(...managed.values());
  return { latest: newest.path, managed, lastPreserved: oldest - 1, listed: [...managed.keys()], damaged: [] };
}

/** After a save of `path`: it is the newest, also where it was in the list already. */
export function withSaved(state: ManagerState, path: string, now: number): ManagerState {
  const managed = new Map(state.managed);
  managed.delete(path);
  managed.set(path, now);
  const damaged = state.damaged.filter((other) => other !== path);
  return { ...state, latest: path, managed, listed: [...managed.keys()], damaged };
}

/** After a restore of `path` that had to pass over `skipped`. */
export function withRestored(state: ManagerState, path: string, skipped: readonly string[]): ManagerState {
  const managed = new Map(state.managed);
  // What isn't managed is nobody's to delete: a preserved checkpoint, or one of another list.
  const damaged = [...state.damaged, ...skipped.filter((other) => managed.delete(other))];
  return { ...state, latest: path, managed, damaged };
}

/**
 * What the state file shall say: paths relative to `directory`, the latest last.
 *
 * @throws CheckpointError INVALID_ARGUMENT if the latest would be the state file itself.
 */
export function toStateFile(state: ManagerState, directory: string, stateFile: string): CheckpointState {
  const latest = state.latest ?? '';
  if (resolve(latest) === resolve(stateFile)) {
    throw invalidArgument(`The checkpoint's path ${latest} is that of the state file; save under another name.`, {
      path: latest,
    });
  }
  const paths = [...state.managed.keys()];
  if (paths.at(-1) !== latest) paths.push(latest);
  return {
    modelCheckpointPath: toDirectory(directory, latest),
    allModelCheckpointPaths: paths.map((path) => toDirectory(directory, path)),
    allModelCheckpointTimestamps: [...state.managed.values()],
    lastPreservedTimestamp: state.lastPreserved,
  };
}

/** A path of a state file as a full one. Not normalized: it is a key, and TensorFlow's is not either. */
export function fromDirectory(directory: string, path: string): string {
  if (path.startsWith('/')) return path;
  return directory.endsWith('/') ? `${directory}${path}` : `${directory}/${path}`;
}

function toDirectory(directory: string, path: string): string {
  return relative(directory, path) || '.';
}
