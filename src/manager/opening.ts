/**
 * What a manager finds in its directory when it is constructed. Synchronous, since a constructor can't wait: the one
 * place that reads files without the engine, and only the state file and, where that is lost, the age of indexes.
 */
import { closeSync, constants, openSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { indexPath } from '../bundle/index.ts';
import { type CheckpointState, parseCheckpointState } from '../checkpoint/state-file.ts';
import { readDirectorySync } from '../native/engine.ts';
import { type CheckpointFound, takeInventory } from './inventory.ts';
import { findLeftovers, type Leftovers } from './recovery.ts';
import { freshState, type ManagerState, openState, recoveredState, type StateWarning } from './state.ts';

export interface Opening {
  readonly state: ManagerState;
  readonly warnings: readonly StateWarning[];
  /** Text of the state file; null: there is none. Undefined: it can't be read. */
  readonly stateText: string | null | undefined;
  /** What killed saves have left. */
  readonly leftovers: Leftovers | undefined;
}

export interface OpeningQuestion {
  readonly directory: string;
  readonly stateFile: string;
  /** Prefix of all checkpoints, without the number. */
  readonly prefix: string;
  readonly maxToKeep: number | null;
  /** Seconds. */
  readonly now: number;
}

/** Reads the state file and looks at the names beside it. */
export function openDirectory(question: OpeningQuestion): Opening {
  const { directory, stateFile, prefix, now } = question;
  const base = prefix.slice(dirname(prefix) === '/' ? 1 : dirname(prefix).length + 1);
  const names = listNames(dirname(prefix));
  const inventory = takeInventory(dirname(prefix), base, names);
  const stateNames = dirname(prefix) === directory ? names : listNames(directory);
  const leftovers = findLeftovers(inventory, directory, stateNames);
  const whole = inventory.filter((checkpoint) => checkpoint.whole);

  const file = readState(stateFile);
  if (file === null) {
    const warnings: StateWarning[] = [];
    if (whole.length > 0) {
      const list = whole.map(({ path }) => path).join(', ');
      const message =
        `${directory} has no state file, but checkpoints: ${list}. They are neither restored nor deleted; ` +
        'restore one with checkpoint.restore(path) to go on from it.';
      warnings.push({ kind: 'state', message, path: directory });
    }
    return { state: freshState(now), warnings, stateText: null, leftovers };
  }
  if ('problem' in file) return recover(question, file, whole, leftovers);
  const opened = openState(file.state, directory, now);
  const warnings = [...opened.warnings, ...orphans(whole, opened.state, stateFile)];
  return { state: opened.state, warnings, stateText: file.text, leftovers };
}

/** A state file's content, or what is wrong with it. */
export type StateFile =
  | { readonly text: string; readonly state: CheckpointState }
  | {
      readonly text: string | undefined;
      readonly problem: string;
      /** TensorFlow's get_checkpoint_state refuses such a file; others that it can't use it ignores. */
      readonly isRefused?: boolean;
    };

/** Interprets the bytes of a state file. */
export function interpretState(bytes: Uint8Array): StateFile {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { text: undefined, problem: 'it is not UTF-8.', isRefused: true };
  }
  try {
    const state = parseCheckpointState(text);
    if (state.modelCheckpointPath === '')
      return { text, problem: 'it names no model_checkpoint_path.', isRefused: true };
    return { text, state };
  } catch (error) {
    return { text, problem: error instanceof Error ? error.message : String(error) };
  }
}

function readState(path: string): StateFile | null {
  try {
    // A pipe in the file's place must not be waited for.
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return interpretState(readFileSync(file));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ENOTDIR' ? null : { text: undefined, problem: message };
  }
}

function recover(
  { directory, stateFile, maxToKeep, now }: OpeningQuestion,
  { text, problem }: { text: string | undefined; problem: string },
  whole: readonly CheckpointFound[],
  leftovers: Leftovers | undefined,
): Opening {
  const found = whole
    .flatMap(({ path, number }) => {
      const modified = modifiedAt(indexPath(path));
      return modified === undefined ? [] : [{ path, number, time: modified / 1000 }];
    })
    .sort((a, b) => a.time - b.time || a.number - b.number);
  const kept = maxToKeep === null ? found : found.slice(-maxToKeep);
  const managed =
    kept.length === 0
      ? 'No whole checkpoint is there, so this starts afresh.'
      : `Managed from now on, by the age of their files: ${kept.map(({ path }) => path).join(', ')}.`;
  const message = `The state file ${stateFile} can't be used: ${problem} ${managed}`;
  return {
    state: recoveredState(kept, now),
    warnings: [{ kind: 'state', message, path: directory }],
    stateText: text,
    leftovers,
  };
}

/** Whole checkpoints that a crash has kept out of the state file: newer than it. Older ones were preserved. */
function orphans(whole: readonly CheckpointFound[], state: ManagerState, stateFile: string): StateWarning[] {
  const listed = new Set([...state.listed, state.latest]);
  const unlisted = whole.filter(({ path }) => !listed.has(path));
  if (unlisted.length === 0) return [];
  const written = modifiedAt(stateFile) ?? Number.POSITIVE_INFINITY;
  return unlisted
    .filter(({ path }) => (modifiedAt(indexPath(path)) ?? 0) > written)
    .map(({ path }) => ({
      kind: 'unlisted',
      message: `${path} is whole but not in the state file: its save was interrupted. It stays until a save takes its number.`,
      path,
    }));
}

/** Milliseconds since the epoch. */
function modifiedAt(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs;
}

function listNames(directory: string): readonly string[] {
  try {
    return readDirectorySync(directory) ?? [];
  } catch {
    // A file in the directory's place, or one that can't be read: the first save will say so.
    return [];
  }
}
