import { join } from 'node:path';
import { printCheckpointState, STATE_FILE_NAME } from '../checkpoint/state-file.ts';
import type { StateRequest } from '../checkpoint/write-handle.ts';
import { describeValue, invalidArgument } from '../errors.ts';
import { type DirectoryLock, makeDirectoriesSync, readDirectorySync } from '../native/engine.ts';
import type { ManagerWarning } from './events.ts';
import { lockForManager } from './lock.ts';
import { type Opening, openDirectory } from './opening.ts';
import type { NormalizedManagerOptions } from './options.ts';
import type { Leftovers } from './recovery.ts';
import { type ManagerState, toStateFile, withRestored, withSaved } from './state.ts';
import { sweep } from './sweep.ts';

type OnWarning = (warning: ManagerWarning) => void;

/** What a save will have changed once it is committed. */
export interface SaveOutcome {
  readonly state: ManagerState;
  /** The state file's text at the end. */
  readonly stateText: string;
  readonly deleted: readonly string[];
  readonly preserved: readonly string[];
}

/** A directory as its manager knows it: the state, the state file and the lock. Owned by one manager. */
export class DirectoryBook {
  /** Prefix of all checkpoints, without the number. */
  readonly prefix: string;
  /** What killed saves have left; undefined: nothing, or nothing that this manager may touch. */
  readonly leftovers: Leftovers | undefined;
  readonly #options: NormalizedManagerOptions;
  readonly #stateFile: string;
  #state: ManagerState;
  /** What the state file holds as far as this manager knows; null: there is none. */
  #stateText: string | null | undefined;
  #lock: DirectoryLock | null = null;
  #hasLocked = false;
  /** Directories made for a save that then failed: the next one has to sync their parents. */
  #unsynced: string[] = [];

  /** @throws CheckpointError DIRECTORY_LOCKED */
  constructor(options: NormalizedManagerOptions, onWarning: OnWarning) {
    this.#options = options;
    this.prefix = join(options.directory, options.checkpointName);
    this.#stateFile = join(options.directory, STATE_FILE_NAME);
    if (!options.readOnly && exists(options.directory)) this.#takeLock(onWarning);
    try {
      const { state, stateText, leftovers, warnings } = this.#open();
      this.#state = state;
      this.#stateText = stateText;
      // Without the lock they may be another manager's save under way.
      this.leftovers = this.#lock === null ? undefined : leftovers;
      warnings.forEach(onWarning);
    } catch (error) {
      this.release();
      throw error;
    }
  }

  get state(): ManagerState {
    return this.#state;
  }

  get unsynced(): readonly string[] {
    return this.#unsynced;
  }

  /** Reads the state file anew, for a manager that follows another. */
  reload(): void {
    this.#state = this.#open().state;
  }

  /** Makes and locks the directory, where the constructor found none. */
  prepareForWriting(onWarning: OnWarning): void {
    if (this.#hasLocked) return;
    this.#unsynced.push(...makeDirectoriesSync(this.#options.directory));
    this.#takeLock(onWarning);
  }

  /** The state file as it will be after a save of `path` now, and what goes. Changes nothing yet. */
  composeSave(path: string): { request: StateRequest; outcome: SaveOutcome } {
    const saved = withSaved(this.#state, path, this.#now());
    const { maxToKeep, keepCheckpointEveryNHours } = this.#options;
    const swept = sweep(saved, { maxToKeep, keepEveryNHours: keepCheckpointEveryNHours });
    const stateText = this.#print(swept.state);
    const request: StateRequest = {
      stateFile: { path: this.#stateFile, text: this.#print(saved), previous: this.#stateText },
      deletePrefixes: swept.deleted,
      stateFileAfterDeletion: stateText,
    };
    return { request, outcome: { ...swept, stateText } };
  }

  /** The save is on the disk. */
  saved({ state, stateText }: SaveOutcome): void {
    this.#state = state;
    this.#stateText = stateText;
    this.#unsynced = [];
  }

  /** `path` was restored instead of `skipped`; the state file follows at the next save. */
  restored(path: string, skipped: readonly string[]): void {
    if (skipped.length > 0) this.#state = withRestored(this.#state, path, skipped);
  }

  /** Gives the lock up. Idempotent. */
  release(): void {
    this.#lock?.release();
    this.#lock = null;
  }

  #open(): Opening {
    const { directory, maxToKeep } = this.#options;
    return openDirectory({ directory, stateFile: this.#stateFile, prefix: this.prefix, maxToKeep, now: this.#now() });
  }

  #takeLock(onWarning: OnWarning): void {
    const { directory } = this.#options;
    this.#lock = lockForManager(directory, (message) => onWarning({ kind: 'lock', message, path: directory }));
    this.#hasLocked = true;
  }

  #print(state: ManagerState): string {
    return printCheckpointState(toStateFile(state, this.#options.directory, this.#stateFile));
  }

  /** Seconds. */
  #now(): number {
    const milliseconds = this.#options.clock();
    if (!Number.isFinite(milliseconds)) {
      throw invalidArgument(
        `CheckpointManager: the clock must return milliseconds, not ${describeValue(milliseconds)}.`,
      );
    }
    return milliseconds / 1000;
  }
}

function exists(directory: string): boolean {
  try {
    return readDirectorySync(directory) !== null;
  } catch {
    return false;
  }
}
