import { describeValue, invalidArgument } from '../errors.ts';
import type { Progress } from '../native/contract.ts';
import type { WriteWarning } from './write-handle.ts';

/** How a checkpoint is written. */
export interface WriteOptions {
  /**
   * Resolve once the values are captured; the write goes on in the background. `sync()` waits for it, and a failure is
   * raised by `sync()` or by the next save.
   *
   * @default false
   */
  enableAsync?: boolean;
  /** Number of data files, 1 … 99999. Default: one below 64 MiB, else chosen by size. */
  shards?: number;
  /** Upper bound of a data file, bytes. A tensor that is larger gets a file of its own. */
  maxShardBytes?: number;
  /** Threads that work on this save. Default: the engine's choice. */
  threads?: number;
  /**
   * Upper bound of the staging memory, bytes.
   *
   * @default 256 MiB
   */
  stagingBytes?: number;
  /**
   * `borrow`: typed arrays are read from where they lie and must not change until the promise resolves. `copy`: they
   * go through staging and may change again once they are captured. tfjs tensors never change and are always borrowed.
   *
   * @default 'borrow', and 'copy' with enableAsync
   */
  snapshot?: 'borrow' | 'copy';
  /**
   * What a save does that comes while an asynchronous one is under way: wait for it, or be skipped (a manager's save
   * then returns null).
   *
   * @default 'wait'
   */
  whenBusy?: 'wait' | 'skip';
  /**
   * false: the same order of operations without fsync. The checkpoint survives a killed process, not a power cut.
   *
   * @default true
   */
  durable?: boolean;
  /**
   * Bytes of page-locked host memory that hold a whole state of device tensors: they are copied into it as fast as the
   * devices deliver, which is when they are captured, and written from there. Round the state up by 4 MiB for each data
   * file; what doesn't fit waits until something was written. The first save that asks for it sets it aside, which takes
   * a while, and it is kept; `reserveSnapshotPool` of `tensor-checkpoint/cuda` does so before the first save. Where the
   * system allows no more memory to be locked, ordinary memory is used, with a warning.
   *
   * @default 0: device tensors pass the staging memory, and are captured when the last of them was read
   */
  snapshotPoolBytes?: number;
  /**
   * Copy device tensors within their device first: they are captured when that is done, at the speed of the device's
   * memory. It needs as much device memory again, which is kept for the next save; where there is not enough, the
   * tensors are read directly, with a warning.
   *
   * @default false
   */
  deviceShadow?: boolean;
  /**
   * Have devices compute the checksums of their tensors as well, and compare them with those of what arrived on the
   * host: a difference fails the save with DATA_LOSS, naming the tensor.
   *
   * @default false
   */
  deviceChecksum?: boolean;
  /**
   * Write device tensors straight from the device to the disk, by GPUDirect Storage (libcufile): no byte of them passes
   * the host's memory, and devices compute the checksums. What fits no direct I/O, such as the end of a file, goes the
   * usual way. `true`: where it is not possible, the save fails with UNSUPPORTED and the reason. `'auto'`: there it is
   * done without, with a warning `gpuDirect` that has the reason. Never in cuFile's compatibility mode.
   *
   * @default false
   */
  gpuDirect?: boolean | 'auto';
  /** Aborts the save with ABORTED, up to the moment at which its index is renamed into place. */
  signal?: AbortSignal;
  /** Called at most 20 times a second. */
  onProgress?: (progress: Progress) => void;
  /**
   * Called with the checkpoint's path once its index is in place, one after the other, before the state file names it.
   * If one fails, a new checkpoint is removed again. They are part of the save: one that waits for another operation of
   * the same Checkpoint would wait for ever.
   */
  writeCallbacks?: Array<(path: string) => void | Promise<void>>;
}

/** How a checkpoint is read. */
export interface ReadOptions {
  /** Threads that work on this restore. Default: the engine's choice. */
  threads?: number;
  /**
   * Upper bound of the staging memory, bytes.
   *
   * @default 256 MiB
   */
  stagingBytes?: number;
  /**
   * Compare every tensor with its checksum.
   *
   * @default true
   */
  verify?: boolean;
  /**
   * true: everything is read and verified before anything is assigned, at the price of the memory for it. false: even
   * objects that are replaced rather than filled are assigned one after the other, as they are verified. Default:
   * memory is filled in place, and replaced objects (tfjs) are assigned after all was verified.
   */
  atomic?: boolean;
  /**
   * Have devices compute the checksums of what they got as well; a difference is DATA_LOSS, naming the tensor. Tensors
   * that are not verified are not summed.
   *
   * @default false
   */
  deviceChecksum?: boolean;
  /**
   * Read straight from the disk into devices, by GPUDirect Storage: see {@link WriteOptions.gpuDirect}.
   *
   * @default false
   */
  gpuDirect?: boolean | 'auto';
  signal?: AbortSignal;
  /** Called at most 20 times a second. */
  onProgress?: (progress: Progress) => void;
}

/** {@link WriteOptions} after validation, defaults filled in. */
export interface NormalizedWriteOptions {
  readonly enableAsync: boolean;
  readonly shards: number | undefined;
  readonly maxShardBytes: number | undefined;
  /** 0: the engine's choice. */
  readonly threads: number;
  readonly stagingBytes: number;
  readonly snapshot: 'borrow' | 'copy';
  readonly whenBusy: 'wait' | 'skip';
  readonly durable: boolean;
  readonly snapshotPoolBytes: number;
  readonly deviceShadow: boolean;
  readonly deviceChecksum: boolean;
  readonly gpuDirect: boolean | 'auto';
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: Progress) => void) | undefined;
  readonly writeCallbacks: readonly ((path: string) => void | Promise<void>)[];
}

/** {@link ReadOptions} after validation, defaults filled in; `atomic` stays undefined where it wasn't given. */
export interface NormalizedReadOptions {
  readonly threads: number;
  readonly stagingBytes: number;
  readonly verify: boolean;
  readonly atomic: boolean | undefined;
  readonly deviceChecksum: boolean;
  readonly gpuDirect: boolean | 'auto';
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: Progress) => void) | undefined;
  /** Who hears of warnings; without it the process does. */
  readonly onWarning?: ((warning: WriteWarning) => void) | undefined;
}

export const DEFAULT_STAGING_BYTES = 256 * 1024 * 1024;
const MAX_SHARDS = 99999;
const MAX_THREADS = 1024;
/** Less than a chunk of staging can't move anything. */
const MIN_STAGING_BYTES = 1024 * 1024;

export const WRITE_NAMES: ReadonlySet<string> = new Set<keyof WriteOptions>([
  'enableAsync',
  'shards',
  'maxShardBytes',
  'threads',
  'stagingBytes',
  'snapshot',
  'whenBusy',
  'durable',
  'snapshotPoolBytes',
  'deviceShadow',
  'deviceChecksum',
  'gpuDirect',
  'signal',
  'onProgress',
  'writeCallbacks',
]);
const READ_NAMES: ReadonlySet<string> = new Set<keyof ReadOptions>([
  'threads',
  'stagingBytes',
  'verify',
  'atomic',
  'deviceChecksum',
  'gpuDirect',
  'signal',
  'onProgress',
]);

/**
 * Validates write options.
 *
 * @param what the function or option they were given to, for messages.
 * @throws CheckpointError INVALID_ARGUMENT naming an unknown option, or one of the wrong type or range.
 */
export function normalizeWriteOptions(options: WriteOptions | undefined, what: string): NormalizedWriteOptions {
  const given = optionsObject(options, WRITE_NAMES, what) as WriteOptions;
  const enableAsync = boolean(given.enableAsync, false, 'enableAsync', what);
  return Object.freeze({
    enableAsync,
    shards: integer(given.shards, 1, MAX_SHARDS, 'shards', what),
    maxShardBytes: integer(given.maxShardBytes, 1, Number.MAX_SAFE_INTEGER, 'maxShardBytes', what),
    threads: integer(given.threads, 1, MAX_THREADS, 'threads', what) ?? 0,
    stagingBytes: staging(given.stagingBytes, what),
    snapshot: choice(given.snapshot, ['borrow', 'copy'], enableAsync ? 'copy' : 'borrow', 'snapshot', what),
    whenBusy: choice(given.whenBusy, ['wait', 'skip'], 'wait', 'whenBusy', what),
    durable: boolean(given.durable, true, 'durable', what),
    snapshotPoolBytes: integer(given.snapshotPoolBytes, 0, Number.MAX_SAFE_INTEGER, 'snapshotPoolBytes', what) ?? 0,
    deviceShadow: boolean(given.deviceShadow, false, 'deviceShadow', what),
    deviceChecksum: boolean(given.deviceChecksum, false, 'deviceChecksum', what),
    gpuDirect: choice(given.gpuDirect, [true, false, 'auto'], false, 'gpuDirect', what),
    signal: checkSignal(given.signal, what),
    onProgress: callback(given.onProgress, 'onProgress', what),
    writeCallbacks: callbacks(given.writeCallbacks, what),
  });
}

/** Validates read options; see {@link normalizeWriteOptions}. */
export function normalizeReadOptions(options: ReadOptions | undefined, what: string): NormalizedReadOptions {
  const given = optionsObject(options, READ_NAMES, what) as ReadOptions;
  return Object.freeze({
    threads: integer(given.threads, 1, MAX_THREADS, 'threads', what) ?? 0,
    stagingBytes: staging(given.stagingBytes, what),
    verify: boolean(given.verify, true, 'verify', what),
    atomic: given.atomic === undefined ? undefined : boolean(given.atomic, false, 'atomic', what),
    deviceChecksum: boolean(given.deviceChecksum, false, 'deviceChecksum', what),
    gpuDirect: choice(given.gpuDirect, [true, false, 'auto'], false, 'gpuDirect', what),
    signal: checkSignal(given.signal, what),
    onProgress: callback(given.onProgress, 'onProgress', what),
  });
}

export function optionsObject(options: unknown, names: ReadonlySet<string>, what: string): object {
  if (options === undefined) return {};
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalidArgument(`${what}: options must be an object, not ${describeValue(options)}.`);
  }
  for (const name of Object.keys(options)) {
    if (names.has(name)) continue;
    const meant = closest(name, names);
    throw invalidArgument(
      `${what}: unknown option '${name}'.${meant === undefined ? '' : ` Did you mean '${meant}'?`} Known: ${[...names].join(', ')}.`,
    );
  }
  return options;
}

/** The known name within two edits, if there is one. */
function closest(name: string, names: ReadonlySet<string>): string | undefined {
  const lower = name.toLowerCase().replaceAll('_', '');
  let best: string | undefined;
  let least = 3;
  for (const known of names) {
    const distance = editDistance(lower, known.toLowerCase());
    if (distance < least) [best, least] = [known, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(previous[j]! + 1, row[j - 1]! + 1, swap));
    }
    previous = row;
  }
  return previous[b.length]!;
}

function boolean(value: unknown, byDefault: boolean, name: string, what: string): boolean {
  if (value === undefined) return byDefault;
  if (typeof value !== 'boolean')
    throw invalidArgument(`${what}: ${name} must be true or false, not ${describeValue(value)}.`);
  return value;
}

function integer(value: unknown, min: number, max: number, name: string, what: string): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw invalidArgument(`${what}: ${name} must be an integer from ${min} to ${max}, not ${describeValue(value)}.`);
  }
  return value;
}

function staging(value: unknown, what: string): number {
  return integer(value, MIN_STAGING_BYTES, Number.MAX_SAFE_INTEGER, 'stagingBytes', what) ?? DEFAULT_STAGING_BYTES;
}

function choice<T extends string | boolean>(
  value: unknown,
  known: readonly T[],
  byDefault: T,
  name: string,
  what: string,
): T {
  if (value === undefined) return byDefault;
  if (!known.includes(value as T)) {
    throw invalidArgument(
      `${what}: ${name} must be ${known.map((k) => (typeof k === 'string' ? `'${k}'` : k)).join(' or ')}, not ${describeValue(value)}.`,
    );
  }
  return value as T;
}

/** @throws CheckpointError INVALID_ARGUMENT for what is neither an AbortSignal nor undefined. */
export function checkSignal(value: unknown, what: string): AbortSignal | undefined {
  if (value === undefined) return undefined;
  const candidate = value as Partial<AbortSignal> | null;
  if (typeof candidate?.aborted !== 'boolean' || typeof candidate.addEventListener !== 'function') {
    throw invalidArgument(`${what}: signal must be an AbortSignal, not ${describeValue(value)}.`);
  }
  return value as AbortSignal;
}

function callback<T>(value: T | undefined, name: string, what: string): T | undefined {
  if (value === undefined || typeof value === 'function') return value;
  throw invalidArgument(`${what}: ${name} must be a function, not ${describeValue(value)}.`);
}

function callbacks(value: WriteOptions['writeCallbacks'], what: string): NormalizedWriteOptions['writeCallbacks'] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'function')) {
    throw invalidArgument(`${what}: writeCallbacks must be an array of functions, not ${describeValue(value)}.`);
  }
  // A copy: the caller's array may change, and is never changed here.
  return [...value];
}
