import { describeValue, invalidArgument } from '../errors.ts';
import type { Progress } from '../native/contract.ts';
import { boolean, callback, checkSignal, choice, integer, optionsObject } from './option-checks.ts';
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
  /**
   * `background`: the threads that write take a small part of the processors beside threads that compute (niceness 15), so that training on all processors is hardly disturbed; where a processor is free, it is as fast.
   * `normal`: a fair part, which takes less time and disturbs more.
   *
   * @default 'background' for 64 MiB of tensors and more. 'normal' for less, and where as much is copied first (from
   * devices, or by `snapshot: 'copy'`), which training waits for
   */
  priority?: 'background' | 'normal';
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
  /** undefined: by size. */
  readonly priority: 'background' | 'normal' | undefined;
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
  'priority',
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
    priority: choice(given.priority, ['background', 'normal'], undefined, 'priority', what),
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

function staging(value: unknown, what: string): number {
  return integer(value, MIN_STAGING_BYTES, Number.MAX_SAFE_INTEGER, 'stagingBytes', what) ?? DEFAULT_STAGING_BYTES;
}

function callbacks(value: WriteOptions['writeCallbacks'], what: string): NormalizedWriteOptions['writeCallbacks'] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'function')) {
    throw invalidArgument(`${what}: writeCallbacks must be an array of functions, not ${describeValue(value)}.`);
  }
  // A copy: the caller's array may change, and is never changed here.
  return [...value];
}
