import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { type Counter, isCounter } from '../checkpoint/counter.ts';
import { optionsObject } from '../checkpoint/option-checks.ts';
import {
  type NormalizedReadOptions,
  normalizeReadOptions,
  normalizeWriteOptions,
  type ReadOptions,
  WRITE_NAMES,
  type WriteOptions,
} from '../checkpoint/options.ts';
import { describeValue, invalidArgument } from '../errors.ts';

/** Options of {@link CheckpointManager}. */
export interface CheckpointManagerOptions {
  /** Where checkpoints and the state file are; made absolute. Created by the first save. */
  directory: string | URL;
  /** Checkpoints to keep, at least 1; the oldest are deleted after a save. null: all are kept. */
  maxToKeep: number | null;
  /**
   * A checkpoint that would be deleted stays for good if this many hours lie between it and the last that stayed.
   *
   * @default 0, never
   */
  keepCheckpointEveryNHours?: number;
  /**
   * Checkpoints are called `<name>-<number>`. May hold a slash: the state file stays in `directory`.
   *
   * @default 'ckpt'
   */
  checkpointName?: string;
  /** What counts the steps of `checkpointInterval`. */
  stepCounter?: Counter | { readonly value: number };
  /** Steps between saves: save() returns null before they are over. Needs `stepCounter`. Default: no interval. */
  checkpointInterval?: number;
  /** Called by restoreOrInitialize() where there is nothing to restore. */
  initFn?: () => void | Promise<void>;
  /** Step of the last save, where the first interval begins. Default: none, the first save() saves. */
  lastCheckpointStep?: number;
  /**
   * What restoreOrInitialize() does with a checkpoint that is missing or damaged: go on to the next older one, or throw.
   *
   * @default 'fallback'
   */
  onDamaged?: 'fallback' | 'throw';
  /**
   * Milliseconds since the epoch.
   *
   * @default Date.now
   */
  clock?: () => number;
  /** Defaults of every save. */
  write?: WriteOptions;
  /** How restoreOrInitialize() reads. */
  read?: ReadOptions;
  /**
   * Takes no lock, writes and deletes nothing, and reads the state file anew at each restore: for a job that follows
   * another one.
   *
   * @default false
   */
  readOnly?: boolean;
}

/** Options of `CheckpointManager.save()` and `begin()`; they go before the manager's `write`. */
export interface SaveOptions extends WriteOptions {
  /** An integer, or a Counter, which isn't changed. The save counter is incremented all the same. Default: that counter. */
  checkpointNumber?: number | Counter;
  /**
   * false: save although `checkpointInterval` isn't over; never twice at one step.
   *
   * @default true
   */
  checkInterval?: boolean;
}

/** {@link CheckpointManagerOptions} after validation. */
export interface NormalizedManagerOptions {
  readonly directory: string;
  readonly maxToKeep: number | null;
  readonly keepCheckpointEveryNHours: number;
  readonly checkpointName: string;
  readonly stepCounter: { readonly value: number } | undefined;
  readonly checkpointInterval: number | null;
  readonly initFn: (() => void | Promise<void>) | undefined;
  readonly lastCheckpointStep: number | null;
  readonly onDamaged: 'fallback' | 'throw';
  readonly clock: () => number;
  readonly write: WriteOptions;
  readonly read: NormalizedReadOptions;
  readonly readOnly: boolean;
}

/** {@link SaveOptions} after validation; `write` holds only what was given. */
export interface NormalizedSaveOptions {
  readonly checkpointNumber: number | undefined;
  readonly checkInterval: boolean;
  readonly enableAsync: boolean;
  readonly whenBusy: 'wait' | 'skip';
  readonly signal: AbortSignal | undefined;
  readonly write: WriteOptions;
}

const WHAT = 'CheckpointManager';

const MANAGER_NAMES: ReadonlySet<string> = new Set<keyof CheckpointManagerOptions>([
  'directory',
  'maxToKeep',
  'keepCheckpointEveryNHours',
  'checkpointName',
  'stepCounter',
  'checkpointInterval',
  'initFn',
  'lastCheckpointStep',
  'onDamaged',
  'clock',
  'write',
  'read',
  'readOnly',
]);
const SAVE_NAMES: ReadonlySet<string> = new Set(['checkpointNumber', 'checkInterval', ...WRITE_NAMES]);

/** @throws CheckpointError INVALID_ARGUMENT naming the option that is missing, unknown, or of the wrong type or range. */
export function normalizeManagerOptions(checkpoint: Checkpoint, options: unknown): NormalizedManagerOptions {
  if (typeof (checkpoint as Partial<Checkpoint> | null)?.beginWrite !== 'function') {
    throw invalidArgument(`${WHAT}: the first argument must be a Checkpoint, not ${describeValue(checkpoint)}.`);
  }
  if (options === undefined) throw invalidArgument(`${WHAT}: the options directory and maxToKeep are required.`);
  const given = optionsObject(options, MANAGER_NAMES, WHAT) as Partial<CheckpointManagerOptions>;
  const interval = given.checkpointInterval ?? null;
  if (interval !== null) {
    requireThat(isInteger(interval) && interval >= 0, 'checkpointInterval', 'an integer, 0 or more', interval);
    if (given.stepCounter === undefined) {
      throw invalidArgument(`${WHAT}: checkpointInterval counts steps: give the stepCounter that counts them.`);
    }
  }
  const stepCounter = given.stepCounter ?? undefined;
  if (stepCounter !== undefined) {
    const fits = typeof stepCounter === 'object' && 'value' in stepCounter;
    requireThat(fits, 'stepCounter', 'a Counter or an object with a value', stepCounter);
  }
  const lastStep = given.lastCheckpointStep ?? null;
  requireThat(lastStep === null || isInteger(lastStep), 'lastCheckpointStep', 'an integer', lastStep);
  const hours = given.keepCheckpointEveryNHours ?? 0;
  const hoursFit = typeof hours === 'number' && Number.isFinite(hours) && hours >= 0;
  requireThat(hoursFit, 'keepCheckpointEveryNHours', 'a number of hours, 0 or more', hours);
  const onDamaged = given.onDamaged ?? 'fallback';
  requireThat(onDamaged === 'fallback' || onDamaged === 'throw', 'onDamaged', "'fallback' or 'throw'", onDamaged);
  const readOnly = given.readOnly ?? false;
  requireThat(typeof readOnly === 'boolean', 'readOnly', 'true or false', readOnly);
  const clock = given.clock ?? Date.now;
  requireThat(typeof clock === 'function', 'clock', 'a function that returns milliseconds', clock);
  const { initFn } = given;
  requireThat(initFn === undefined || typeof initFn === 'function', 'initFn', 'a function', initFn);
  normalizeWriteOptions(given.write, `${WHAT}: write`);
  return Object.freeze({
    directory: directoryPath(given.directory),
    maxToKeep: maxToKeep(given.maxToKeep),
    keepCheckpointEveryNHours: hours,
    checkpointName: checkpointName(given.checkpointName ?? 'ckpt'),
    stepCounter,
    checkpointInterval: interval,
    initFn,
    lastCheckpointStep: lastStep,
    onDamaged,
    clock,
    write: Object.freeze({ ...given.write }),
    read: normalizeReadOptions(given.read, `${WHAT}: read`),
    readOnly,
  });
}

/** @throws CheckpointError INVALID_ARGUMENT */
export function normalizeSaveOptions(options: SaveOptions | undefined, defaults: WriteOptions): NormalizedSaveOptions {
  const what = `${WHAT}.save`;
  const given = optionsObject(options, SAVE_NAMES, what) as SaveOptions;
  const { checkpointNumber, checkInterval = true, ...rest } = given;
  if (typeof checkInterval !== 'boolean') {
    throw invalidArgument(`${what}: checkInterval must be true or false, not ${describeValue(checkInterval)}.`);
  }
  const set = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  const write: WriteOptions = { ...defaults, ...set };
  const { enableAsync, whenBusy, signal, writeCallbacks } = normalizeWriteOptions(write, what);
  return Object.freeze({
    checkpointNumber: checkpointNumber === undefined ? undefined : numberFrom(checkpointNumber, what),
    checkInterval,
    enableAsync,
    whenBusy,
    signal,
    // A save may begin later than it is asked for: the caller's list may have changed by then.
    write: { ...write, writeCallbacks: [...writeCallbacks] },
  });
}

function numberFrom(given: number | Counter, what: string): number {
  const number: unknown = isCounter(given) ? given.value : given;
  if (!isInteger(number)) {
    throw invalidArgument(`${what}: checkpointNumber must be an integer or a Counter, not ${describeValue(given)}.`);
  }
  return number;
}

function directoryPath(directory: unknown): string {
  if (directory instanceof URL) {
    if (directory.protocol !== 'file:') {
      throw invalidArgument(`${WHAT}: directory must be a path or a file: URL, not ${directory.href}.`);
    }
    return resolve(fileURLToPath(directory));
  }
  const fits = typeof directory === 'string' && directory !== '' && !directory.includes('\0');
  if (!fits)
    throw invalidArgument(`${WHAT}: directory must be a path or a file: URL, not ${describeValue(directory)}.`);
  return resolve(directory);
}

function maxToKeep(value: unknown): number | null {
  if (value === null || (isInteger(value) && value > 0)) return value;
  throw invalidArgument(
    `${WHAT}: maxToKeep must be given, as a positive integer or as null for keeping all, not ${describeValue(value)}.`,
  );
}

function checkpointName(value: unknown): string {
  const segments = typeof value === 'string' ? value.split('/') : [''];
  const fits = segments.every((name) => name !== '' && name !== '.' && name !== '..' && !name.includes('\0'));
  requireThat(fits, 'checkpointName', 'a name such as ckpt or sub/ckpt, within the directory', value);
  return value as string;
}

function requireThat(fits: boolean, name: string, expected: string, value: unknown): void {
  if (!fits) throw invalidArgument(`${WHAT}: ${name} must be ${expected}, not ${describeValue(value)}.`);
}

function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}
