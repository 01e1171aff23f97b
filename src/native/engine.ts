/** The engine as TypeScript sees it: programs become promises, NativeErrors become CheckpointErrors (here only). */
import { CheckpointError, isCheckpointError } from '../errors.ts';
import type {
  DirectoryLock,
  EngineInfo,
  FileStat,
  LoadDamage,
  LoadProgram,
  LoadStats,
  NativeError,
  NativeWarning,
  Progress,
  SaveProgram,
  SaveStats,
} from './contract.ts';
import { loadAddon } from './loader.ts';
import { checkBuffers } from './take-buffers.ts';

export type { DirectoryLock, FileStat, LoadDamage, LoadStats, NativeWarning, Progress, SaveStats };

export interface RunOptions {
  /** Names a tensor of the program for messages: its checkpoint key. */
  names?: (tensor: number) => string;
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
  onWarning?: (warning: NativeWarning & { key?: string }) => void;
}

/**
 * A save program under way. The promises never cause an unhandled rejection. After a failure each one that was not
 * reached rejects with the same CheckpointError; milestones that the program doesn't contain resolve when it ends.
 */
export interface SaveRun {
  readonly captured: Promise<void>;
  readonly indexed: Promise<void>;
  readonly committed: Promise<void>;
  readonly finished: Promise<SaveStats>;
  /** How far a failed program had come; null while it runs and after success. */
  readonly failure: { readonly published: boolean; readonly undone: boolean } | null;
  abort(): void;
}

/** A load failed. `touched[t]` as in the contract's LoadEvent. */
export class LoadFailure extends CheckpointError {
  declare readonly touched: Uint8Array;
  declare readonly damage?: LoadDamage;
}

/** Starts a save program on the engine's threads. It runs to its commit even if JS never yields again. */
export function runSave(program: SaveProgram, options: RunOptions = {}): SaveRun {
  const milestones = { captured: settleable<void>(), indexed: settleable<void>(), committed: settleable<void>() };
  const finished = settleable<SaveStats>();
  let failure: SaveRun['failure'] = null;

  const fail = (error: CheckpointError) => {
    for (const milestone of Object.values(milestones)) milestone.reject(error);
    finished.reject(error);
  };
  const run = {
    captured: milestones.captured.promise,
    indexed: milestones.indexed.promise,
    committed: milestones.committed.promise,
    finished: finished.promise,
    get failure() {
      return failure;
    },
    abort: () => {},
  };
  if (options.signal?.aborted) {
    failure = { published: false, undone: true };
    fail(abortError(options.signal));
    return run;
  }

  const addon = loadAddon();
  const started = guard(() =>
    addon.startSave(checked(program), (event) => {
      switch (event.type) {
        case 'progress':
          options.onProgress?.(event.progress);
          break;
        case 'warning':
          options.onWarning?.({ ...event.warning, ...keyOf(event.warning.tensor, options) });
          break;
        case 'finished':
          stopListening();
          for (const milestone of Object.values(milestones)) milestone.resolve();
          finished.resolve(event.stats);
          break;
        case 'failed':
          stopListening();
          failure = { published: event.published, undone: event.undone };
          fail(toCheckpointError(event.error, options));
          break;
        default:
          milestones[event.type].resolve();
      }
    }),
  );
  const abort = () => addon.abort(started);
  const stopListening = listen(options.signal, abort);
  run.abort = abort;
  return run;
}

/** Runs a load program. Rejects with {@link LoadFailure}, unless the program says keepGoing: then damage is listed. */
export function runLoad(
  program: LoadProgram,
  options: RunOptions = {},
): Promise<{ stats: LoadStats; damage: readonly LoadDamage[] }> {
  return new Promise((resolve, reject) => {
    if (options.signal?.aborted) throw abortError(options.signal);
    const addon = loadAddon();
    // Before the start: once a program runs, nothing but its last event says that it no longer uses memory.
    let id = 0;
    const stopListening = listen(options.signal, () => addon.abort(id));
    const start = () =>
      addon.startLoad(checked(program), (event) => {
        if (event.type === 'progress') {
          options.onProgress?.(event.progress);
          return;
        }
        if (event.type === 'warning') {
          options.onWarning?.({ ...event.warning, ...keyOf(event.warning.tensor, options) });
          return;
        }
        stopListening();
        if (event.type === 'finished') {
          resolve({ stats: event.stats, damage: event.damage });
          return;
        }
        const error = toCheckpointError(event.error, options, LoadFailure);
        Object.defineProperty(error, 'touched', { value: event.touched });
        if (event.damage) Object.defineProperty(error, 'damage', { value: event.damage });
        reject(error);
      });
    try {
      id = guard(start);
    } catch (error) {
      stopListening();
      throw error;
    }
  });
}

/**
 * Sets locked host memory aside for saves with `snapshotPoolBytes`, so that the first one is as fast as the next. Rejects
 * with CUDA_ERROR where the system allows no more to be locked; what was set aside is used all the same.
 */
export function reserveSnapshotPool(bytes: number, device = 0): Promise<void> {
  return new Promise((resolve, reject) => {
    guard(() =>
      loadAddon().reserveSnapshotPool(bytes, device, (error) => (error ? reject(toCheckpointError(error)) : resolve())),
    );
  });
}

/** Gives back the memory that is kept for the next save of device memory, on the host and on devices. */
export function releaseDeviceMemory(): Promise<void> {
  return new Promise((resolve, reject) => {
    loadAddon().releaseDeviceMemory((error) => (error ? reject(toCheckpointError(error)) : resolve()));
  });
}

/** The bytes of a whole small file. */
export function readFile(path: string, maxBytes = 2 ** 32): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    loadAddon().readFile(path, maxBytes, (error, bytes) => {
      if (error || !bytes) reject(toCheckpointError(error ?? unknownError(path)));
      else resolve(new Uint8Array(bytes));
    });
  });
}

/** null if there is no such file. */
export function stat(path: string): Promise<FileStat | null> {
  return new Promise((resolve, reject) => {
    loadAddon().stat(path, (error, found) => {
      if (!error && found) resolve(found);
      else if (error?.code === 'NOT_FOUND') resolve(null);
      else reject(toCheckpointError(error ?? unknownError(path)));
    });
  });
}

/** Names in a directory, in no order; null if there is no such directory. */
export function readDirectory(path: string): Promise<string[] | null> {
  return new Promise((resolve, reject) => {
    loadAddon().readDirectory(path, (error, names) => {
      if (!error && names) resolve(names);
      else if (error?.code === 'NOT_FOUND') resolve(null);
      else reject(toCheckpointError(error ?? unknownError(path)));
    });
  });
}

/** As {@link readDirectory}, on the calling thread. */
export function readDirectorySync(path: string): string[] | null {
  const result = loadAddon().readDirectorySync(path);
  if (Array.isArray(result)) return result;
  if (result.error.code === 'NOT_FOUND') return null;
  throw toCheckpointError(result.error);
}

/** mkdir -p; returns the directories that did not exist before, outermost first. */
export function makeDirectoriesSync(path: string): string[] {
  const result = loadAddon().makeDirectoriesSync(path);
  if (Array.isArray(result)) return result;
  throw toCheckpointError(result.error);
}

/**
 * flock on the directory itself.
 * @throws CheckpointError DIRECTORY_LOCKED if another holds it, UNSUPPORTED where the file system can't lock
 */
export function lockDirectorySync(path: string): DirectoryLock {
  const result = loadAddon().lockDirectorySync(path);
  if ('release' in result) return result;
  throw toCheckpointError(result.error);
}

/** Zeroed memory, aligned for direct I/O; with a `use`, of unspecified content, to be filled before anybody sees it. */
export function allocate(bytes: number, use?: 'fill' | 'adopt'): ArrayBuffer {
  return guard(() => loadAddon().allocate(bytes, use));
}

/** CRC-32C (unmasked), continuing from `initial`. Runs on the calling thread: for small inputs. */
export function crc32c(bytes: Uint8Array, initial = 0): number {
  return loadAddon().crc32c(bytes, initial);
}

export function engineInfo(): EngineInfo {
  return loadAddon().info();
}

/** The one place where an error of native's becomes one of ours. */
export function toCheckpointError(
  error: NativeError,
  options: RunOptions = {},
  ErrorClass: typeof CheckpointError = CheckpointError,
): CheckpointError {
  if (error.code === 'ABORTED' && options.signal?.aborted) return abortError(options.signal, ErrorClass);
  const named = keyOf(error.tensor, options);
  const { code, message, errno, syscall, path, offset } = error;
  return new ErrorClass(code, named.key === undefined ? message : `${message} (key ${named.key})`, {
    ...named,
    errno,
    syscall,
    path,
    offset,
  });
}

function keyOf(tensor: number | undefined, options: RunOptions): { key?: string } {
  return tensor === undefined || !options.names ? {} : { key: options.names(tensor) };
}

function abortError(signal: AbortSignal, ErrorClass: typeof CheckpointError = CheckpointError): CheckpointError {
  return new ErrorClass('ABORTED', 'The operation was aborted by its signal', { cause: signal.reason });
}

export function unknownError(path: string): NativeError {
  return { code: 'IO_ERROR', message: `The engine gave neither a result nor an error for ${path}`, path };
}

/** The addon throws plain Errors for arguments that break the contract; they all mean that the input can't be used. */
export function guard<T>(call: () => T): T {
  try {
    return call();
  } catch (cause) {
    if (isCheckpointError(cause)) throw cause;
    throw new CheckpointError('INVALID_ARGUMENT', cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** Buffers that were taken before were looked at then. */
function checked<T extends SaveProgram | LoadProgram>(program: T): T {
  checkBuffers(program.buffers);
  return program;
}

function listen(signal: AbortSignal | undefined, abort: () => void): () => void {
  if (!signal) return () => {};
  signal.addEventListener('abort', abort, { once: true });
  return () => signal.removeEventListener('abort', abort);
}

function settleable<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((resolvePromise, rejectPromise) => {
    resolve = resolvePromise;
    reject = rejectPromise;
  });
  promise.catch(() => {}); // Whoever awaits it sees the rejection; nobody has to.
  return { promise, resolve, reject };
}
