/**
 * The line between TypeScript and C++: **run this program to its commit.**
 *
 * TypeScript knows names, formats and numbering and writes a program; native knows bytes, files and durability and
 * runs it to its end on threads of its own, without asking back. So a save commits even if the JS thread never yields
 * again. Everything that grows with the number of tensors is a typed array (struct of arrays): no object, string or
 * call per tensor crosses the border.
 *
 * Offsets, lengths and addresses travel as doubles: exact up to 2^53, which no file and no user-space pointer exceeds.
 */

import type { CudaAddon } from './contract-cuda.ts';

/** Where the bytes of an extent are. */
export const ExtentKind = {
  /** In `buffers[buffer]`, memory that JS can write at any time: it is summed again after it was written in place. */
  jsMemory: 0,
  /** At an absolute host address whose content can't change while the program runs (a TensorFlow buffer). */
  pinnedMemory: 1,
  /** At a device address, on row `buffer` of `devices`. */
  cudaDevice: 2,
} as const;

/** A row of `devices` without a stream: all work of the device's context is waited for. */
export const NO_STREAM = -1;

/**
 * Where device memory of a program lies, and what has to happen before it is read or written: one row for each pair of
 * device and stream, not one for each tensor.
 */
export interface DeviceTable {
  /** Ordinal of the CUDA device, 0 … the number of devices − 1. */
  readonly ordinal: Uint32Array;
  /**
   * Handle of the stream (a CUstream of the device's primary context; 0 or 1 the legacy default stream) whose work
   * until now, and no more, is waited for by an event. {@link NO_STREAM}: the context is synchronized once, on a thread
   * of the engine's.
   */
  readonly stream: Float64Array;
}

/** In a load program: the extent has no destination, its bytes are only read and summed. */
export const NO_BUFFER = 0xffffffff;

/**
 * Contiguous runs of bytes and where in the files they go. Extents of one tensor are listed in the order of the
 * tensor's bytes, one after the other. They may be of any length and alignment, zero included.
 */
export interface SaveExtents {
  readonly kind: Uint8Array;
  /** Index into `buffers`, for device memory into `devices`; ignored for absolute addresses of the host. */
  readonly buffer: Uint32Array;
  /** Byte offset into that buffer, or the absolute address (of the host or of the device). */
  readonly source: Float64Array;
  readonly bytes: Float64Array;
  /** Index into `files`. */
  readonly file: Uint32Array;
  readonly fileOffset: Float64Array;
  /** Index of the tensor whose checksum these bytes belong to: 0 … tensorCount − 1. */
  readonly tensor: Uint32Array;
}

/** A small file whose bytes are ready except for checksums that are only known once the tensors were written. */
export interface Blob {
  /** Created with O_EXCL by the `create` step; replaced by rename in the `publish` step. */
  readonly temporaryPath: string;
  /** Native has a copy of its own, which it changes. */
  readonly bytes: Uint8Array;
  /** `value[i]` is written as a little-endian fixed32 at `position[i]`. */
  readonly values?: { readonly position: Float64Array; readonly value: Uint32Array };
  /** The masked CRC-32C of tensor `tensor[i]` is written as a little-endian fixed32 at `position[i]`. */
  readonly patches?: { readonly position: Float64Array; readonly tensor: Uint32Array };
  /** After the patches, in this order: the masked CRC-32C of bytes [start, start + length) is written at `position`. */
  readonly seals?: { readonly start: Float64Array; readonly length: Float64Array; readonly position: Float64Array };
}

/** Milestones of a save, in the order in which they are reached. */
export type Milestone = 'captured' | 'indexed' | 'committed';

/**
 * One step of a save program. Steps run in order, each only after the one before has succeeded.
 * - `create`: the blob's temporary file comes into being (empty; it marks its prefix as being written).
 * - `write`: creates and preallocates `files`, moves all extents. Reaches the milestone *captured* when the last
 *   source byte is no longer needed.
 * - `finish`: patches, seals and writes the blob's bytes into its temporary file.
 * - `sync`: makes the content of every data file and finished blob that is not yet synced durable, in parallel.
 * - `publish`: renames the blob's temporary file to `path`. With `commits`, this is the point of no return: an abort
 *   is honoured up to here and no longer, and the data files are no longer removed when a later step fails.
 * - `link`: gives the file `from` a second name, `path`, which must not exist: no byte of it is written again. Where
 *   the file system can't (another device, no such links, too many), the file is copied, and `bytesWritten` and `bytesCopied` count it. Either way the
 *   next `sync` makes its content durable. Like data files, what it made is removed when the program fails before its
 *   commit. `path` may be the temporary path of a blob that isn't created otherwise: `publish` then renames it.
 * - `unlink`: removes a file. Missing: a warning `missing`. Any other failure: a warning `unlink`. Never fails.
 * - `syncDirectory`: makes names created, renamed and removed in the directory durable. `optional`: a failure is only
 *   a warning (used behind the commit, where nothing can be taken back any more).
 * - `milestone`: reported to JS.
 */
export type Step =
  | { readonly op: 'create'; readonly blob: number }
  | { readonly op: 'write' }
  | { readonly op: 'finish'; readonly blob: number }
  | { readonly op: 'sync' }
  | { readonly op: 'publish'; readonly blob: number; readonly path: string; readonly commits?: boolean }
  | { readonly op: 'link'; readonly from: string; readonly path: string }
  | { readonly op: 'unlink'; readonly path: string }
  | { readonly op: 'syncDirectory'; readonly path: string; readonly optional?: boolean }
  | { readonly op: 'milestone'; readonly name: 'indexed' | 'committed' };

/** What native knows of buffers that were handed over by {@link NativeAddon.takeBuffers}. Opaque. */
export type TakenBuffers = object;

export interface SaveProgram {
  /** Data files: created with O_EXCL under their final names; without an index they mean nothing to any reader. */
  readonly files: { readonly paths: readonly string[]; readonly sizes: Float64Array };
  /** Memory that extents refer to; kept alive until the program has ended. Resizable buffers are refused. */
  readonly buffers: readonly ArrayBufferLike[];
  /** The first of `buffers`, where native has taken them already. It is used up by the start. */
  readonly taken?: TakenBuffers;
  /** Needed when an extent lies in device memory. */
  readonly devices?: DeviceTable;
  /** Objects that absolute and device addresses belong to: kept alive until the program has ended. */
  readonly owners?: readonly object[];
  readonly extents: SaveExtents;
  readonly tensorCount: number;
  readonly blobs: readonly Blob[];
  readonly steps: readonly Step[];
  /**
   * What a failure does. Before the committing `publish` native removes every file that the program created. After
   * it: these steps run (each one tolerating failure), then temporary files that remain are removed. Once the
   * milestone `committed` was reached, nothing is undone any more.
   */
  readonly undo: readonly Step[];
  readonly options: SaveProgramOptions;
}

export interface SaveProgramOptions {
  /** Threads that work on this program; 0: the engine's choice. */
  readonly threads: number;
  /** Upper bound of staging memory used for this program, bytes. */
  readonly stagingBytes: number;
  /** true: all `jsMemory` extents go through staging and *captured* is reached when the last byte is in it. */
  readonly copy: boolean;
  /** false: the same order without fsync. */
  readonly durable: boolean;
  /** true: on threads that take a small part of the processors' time beside others that want it. */
  readonly background?: boolean;
  /** false: buffered writes only. true: direct I/O wherever the file system and the alignment allow it. */
  readonly direct: boolean;
  /** Report progress, at most 20 times a second. */
  readonly progress: boolean;
  /**
   * Locked host memory that device memory is copied into as fast as the devices deliver it, bytes; it is set aside by
   * the first program that asks for it, if not before ({@link NativeAddon.reserveSnapshotPool}). 0 or absent: device
   * memory is staged in `stagingBytes` like everything else.
   */
  readonly snapshotPoolBytes?: number;
  /** Copy device memory on its device first: *captured* is reached when that is done. Needs as much memory there again. */
  readonly deviceShadow?: boolean;
  /** Have devices sum what they send, too, and compare. */
  readonly deviceChecksum?: boolean;
  /** One of {@link GpuDirectUse}; absent: off. What doesn't pass the host is summed by the device alone. */
  readonly gpuDirect?: number;
}

/** Whether bytes of devices move to and from the disk without passing the host (GPUDirect Storage). */
export const GpuDirectUse = {
  off: 0,
  /** Where it is possible; where not, a warning `gpuDirect` says why. */
  auto: 1,
  /** Where it is not possible, the program fails with UNSUPPORTED and the reason. */
  required: 2,
} as const;

/** What the option of that name means. */
export function gpuDirectUse(option: boolean | 'auto'): number {
  if (option === 'auto') return GpuDirectUse.auto;
  return option ? GpuDirectUse.required : GpuDirectUse.off;
}

/** What a finished save program did. Times are seconds. */
export interface SaveStats {
  readonly bytesWritten: number;
  /** Bytes that were copied into staging on their way. */
  readonly bytesCopied: number;
  readonly directBytes: number;
  /** Of these, bytes that did not pass the host. */
  readonly gpuDirectBytes: number;
  readonly syncs: number;
  readonly seconds: number;
  readonly capturedSeconds: number;
  readonly writeSeconds: number;
  readonly syncSeconds: number;
}

/** A failure as native reports it: mapped to CheckpointError in engine.ts, and nowhere else. */
export interface NativeError {
  readonly code:
    | 'INVALID_ARGUMENT'
    | 'NOT_FOUND'
    | 'DATA_LOSS'
    | 'NO_SPACE'
    | 'IO_ERROR'
    | 'ABORTED'
    | 'DIRECTORY_LOCKED'
    | 'UNSUPPORTED'
    | 'OUT_OF_RANGE'
    | 'CUDA_UNAVAILABLE'
    | 'CUDA_ERROR';
  readonly message: string;
  /** The system's name for the failure, for `CUDA_ERROR` the driver's, e.g. `CUDA_ERROR_OUT_OF_MEMORY`. */
  readonly errno?: string;
  /** The system call or driver function that failed. */
  readonly syscall?: string;
  readonly path?: string;
  readonly offset?: number;
  /** Index of the tensor whose bytes were being moved. */
  readonly tensor?: number;
}

export interface Progress {
  readonly bytesDone: number;
  readonly bytesTotal: number;
  readonly tensorsDone: number;
  readonly tensorsTotal: number;
}

/** Something that did not fail the program but should be known. */
export interface NativeWarning extends Partial<Omit<NativeError, 'code'>> {
  /**
   * - `changed`: the tensor's memory was written to while it was being saved; a consistent copy was stored.
   * - `unlocked`: the system would not lock (more) host memory; copies from devices go through ordinary memory.
   * - `shadow`: a device has no memory for a shadow; it was read directly.
   * - `gpuDirect`: bytes of devices pass the host, although they should not; the message says why.
   */
  readonly kind: 'changed' | 'unlink' | 'missing' | 'syncDirectory' | 'unlocked' | 'shadow' | 'gpuDirect';
}

/** Events of a save program, delivered on the JS thread that started it, in order. The last is finished or failed. */
export type SaveEvent =
  | { readonly type: Milestone; readonly seconds: number }
  | { readonly type: 'progress'; readonly progress: Progress }
  | { readonly type: 'warning'; readonly warning: NativeWarning }
  | { readonly type: 'finished'; readonly stats: SaveStats }
  /** `published`: the committing publish had been reached. `undone`: the undo steps all succeeded. */
  | { readonly type: 'failed'; readonly error: NativeError; readonly published: boolean; readonly undone: boolean };

/** The mirror of a save: file ranges → memory, with the checksums expected. Extents as in {@link SaveExtents}. */
export interface LoadProgram {
  readonly files: { readonly paths: readonly string[] };
  readonly buffers: readonly ArrayBufferLike[];
  readonly taken?: TakenBuffers;
  /** As in {@link SaveProgram}. A target's stream is waited for before the target is written to. */
  readonly devices?: DeviceTable;
  readonly owners?: readonly object[];
  readonly extents: {
    /** Without it all targets are `jsMemory`. */
    readonly kind?: Uint8Array;
    readonly file: Uint32Array;
    readonly fileOffset: Float64Array;
    readonly bytes: Float64Array;
    /** Index into `buffers` or `devices`, or NO_BUFFER: read and sum only. */
    readonly buffer: Uint32Array;
    readonly target: Float64Array;
    readonly tensor: Uint32Array;
  };
  readonly tensors: {
    readonly count: number;
    /** Unmasked CRC-32C expected of the tensor's bytes. */
    readonly expected: Uint32Array;
    /** 1: compare. 0: don't sum this tensor. */
    readonly verify: Uint8Array;
  };
  readonly options: {
    readonly threads: number;
    readonly stagingBytes: number;
    readonly direct: boolean;
    readonly progress: boolean;
    /** true: damage is collected and the rest is still read (verification). false: the first damage fails the load. */
    readonly keepGoing: boolean;
    /** Have devices sum what they got, too, and compare. */
    readonly deviceChecksum?: boolean;
    /** As in {@link SaveProgramOptions}. */
    readonly gpuDirect?: number;
  };
}

export interface LoadDamage {
  readonly tensor: number;
  /** `checksum`: the bytes differ. `short`: the file ends before the extent does. `io`: reading failed. `missing`: no such file. */
  readonly kind: 'checksum' | 'short' | 'io' | 'missing';
  readonly error: NativeError;
  /** For `checksum`: the unmasked CRC-32C of the bytes found. */
  readonly found?: number;
}

export interface LoadStats {
  readonly bytesRead: number;
  readonly bytesCopied: number;
  readonly directBytes: number;
  /** Of these, bytes that did not pass the host. */
  readonly gpuDirectBytes: number;
  readonly seconds: number;
}

export type LoadEvent =
  | { readonly type: 'progress'; readonly progress: Progress }
  /** `unlocked` or `gpuDirect`. */
  | { readonly type: 'warning'; readonly warning: NativeWarning }
  | { readonly type: 'finished'; readonly stats: LoadStats; readonly damage: readonly LoadDamage[] }
  /** `touched[t]`: 0 nothing of tensor t was written to its destination, 1 a part, 2 all of it, verified. */
  | {
      readonly type: 'failed';
      readonly error: NativeError;
      readonly damage?: LoadDamage;
      readonly touched: Uint8Array;
    };

export interface FileStat {
  readonly size: number;
  readonly mtimeMs: number;
  readonly isDirectory: boolean;
}

/** A directory lock (flock on the directory itself), held until released or the process ends. */
export interface DirectoryLock {
  release(): void;
}

/** The TensorFlow runtime that this process has loaded, with the names of the ops registered in it. */
export interface TensorFlowRuntimeInfo {
  /** TensorFlow's version. */
  readonly version: string;
  /** `borrow(tensors: N * T)`: takes references to its inputs. To be executed within {@link NativeAddon.borrowTensors}. */
  readonly borrowOp: string;
  /**
   * `provide() -> tensors: N * T`: makes tensors of memory, within {@link NativeAddon.provideTensor}, and on a GPU in new
   * memory there, within {@link NativeAddon.placeTensor}.
   */
  readonly provideOp: string;
}

/** Tensors that TensorFlow lent, in the order of the op's inputs over all its executions. */
export interface BorrowedTensors {
  /** For {@link NativeAddon.releaseBorrow}. Not released, they are given back at the environment's end. */
  readonly id: number;
  /**
   * Absolute addresses: `pinnedMemory`, whose content doesn't change until released; on a device, it doesn't from when
   * the device has done what it has been given to do by now.
   */
  readonly addresses: Float64Array;
  readonly bytes: Float64Array;
  /** TensorFlow's DataType numbers. */
  readonly types: Uint8Array;
  /** Ordinal of the CUDA device that each lies on; −1: on the host. */
  readonly devices: Int32Array;
  /** Bytes that had to be copied, because the tensor lay in memory that JS can write. */
  readonly copiedBytes: number;
}

/** Facts about the native engine. */
export interface EngineInfo {
  /** The CRC-32C implementation chosen for this processor. */
  readonly checksum: string;
  /** Threads that the engine may use. */
  readonly threads: number;
  /** How direct transfers are made: blocking calls on threads, or io_uring. Set by `TENSOR_CHECKPOINT_IO`. */
  readonly io: 'threads' | 'uring';
  /** The engine's version. */
  readonly version: string;
}

/**
 * What the addon exports. Throws only plain Errors for programs that break the contract; the rest are events. Columns
 * (typed arrays with a row a tensor) are only looked at by the program's thread: what is wrong there fails the program,
 * INVALID_ARGUMENT, before it does anything. They must not be changed until it has ended.
 */
export interface NativeAddon extends CudaAddon {
  /** Appends buffers to those `taken` before (undefined: none yet), for a program's {@link SaveProgram.taken}. */
  takeBuffers(taken: TakenBuffers | undefined, ...buffers: readonly ArrayBufferLike[]): TakenBuffers;
  /** Starts a program; returns its id. Events never arrive before this call has returned. */
  startSave(program: SaveProgram, onEvent: (event: SaveEvent) => void): number;
  startLoad(program: LoadProgram, onEvent: (event: LoadEvent) => void): number;
  /** Asks a program to stop; it then fails with ABORTED unless it is past the point of no return. Idempotent. */
  abort(id: number): void;

  /**
   * Zeroed memory, 4096-byte aligned from that size on (2 MiB from 2 MiB on), with huge pages where the kernel gives them. `use`: what
   * becomes of it, where that saves something. `fill`: it is filled before anybody sees it, and of unspecified content
   * until then. `adopt`: filled, and then given to another owner: V8 doesn't count it, and collects no garbage for it.
   */
  allocate(bytes: number, use?: 'fill' | 'adopt'): ArrayBuffer;
  /** CRC-32C of `bytes`, continuing from `initial` (unmasked, default 0). For small inputs: it runs on the JS thread. */
  crc32c(bytes: Uint8Array, initial?: number): number;

  /** Whole small files and metadata, on the engine's threads. `readFile` rejects beyond `maxBytes` (OUT_OF_RANGE). */
  readFile(path: string, maxBytes: number, done: (error: NativeError | null, bytes?: ArrayBuffer) => void): void;
  stat(path: string, done: (error: NativeError | null, stat?: FileStat) => void): void;
  readDirectory(path: string, done: (error: NativeError | null, names?: string[]) => void): void;

  /** The same on the calling thread, for a save that must be submitted before JS yields. Return a NativeError on failure. */
  readDirectorySync(path: string): string[] | { readonly error: NativeError };
  /** mkdir -p; returns the directories that did not exist before, outermost first. */
  makeDirectoriesSync(path: string): string[] | { readonly error: NativeError };
  lockDirectorySync(path: string): DirectoryLock | { readonly error: NativeError };

  /** Finds TensorFlow and registers the ops, once a process. The error, UNSUPPORTED, says what is missing. */
  findTensorFlow(): TensorFlowRuntimeInfo | { readonly error: NativeError };
  /**
   * Calls `execute`, which has TensorFlow execute the borrow op on this thread; what that throws is thrown on. An error,
   * and nothing borrowed, where TensorFlow's GPU isn't one of the CUDA driver's.
   */
  borrowTensors(execute: () => void): BorrowedTensors | { readonly error: NativeError };
  /** Gives tensors back, which no program may use any more. In the environment that borrowed them; idempotent. */
  releaseBorrow(id: number): void;
  /**
   * Calls `execute`, which has TensorFlow execute the provide op once on its GPU, with N = 1: its output is a tensor of
   * undefined content, whose memory may be written to once the device has done what it has been given to do by now. It is
   * borrowed, as by {@link borrowTensors}.
   */
  placeTensor(
    type: number,
    dims: readonly number[],
    bytes: number,
    execute: () => void,
  ): BorrowedTensors | { readonly error: NativeError };
  /**
   * As {@link borrowTensors}, to say when the tensors' memory is given back, not to read it: what lies in memory of
   * JavaScript's isn't held. The number is for {@link freeTensors}; without it, they are given back at the environment's end.
   */
  holdTensors(execute: () => void): number;
  /** Gives the tensors back on a thread of the engine's, and calls `done` when that is done. */
  freeTensors(id: number, done: () => void): void;
  /**
   * Calls `execute`, which has TensorFlow execute the provide op once, with N = 1: its output is a tensor in the memory of
   * `buffer`, which JS has no more (it is detached). The address of that memory; null, without a call, for a buffer that
   * isn't from `allocate`.
   */
  provideTensor(buffer: ArrayBuffer, type: number, dims: readonly number[], execute: () => void): number | null;

  /**
   * Sets locked host memory aside for `snapshotPoolBytes`, touched in parallel and locked once, until there is so much
   * of it. `error` code CUDA_ERROR with what would be the warning `unlocked`: it is set aside, but not (all) locked.
   */
  reserveSnapshotPool(bytes: number, device: number, done: (error: NativeError | null) => void): void;
  /** Gives back what is only kept for programs to come: the snapshot pool, locked staging, shadows on devices. */
  releaseDeviceMemory(done: (error: NativeError | null) => void): void;

  /** Facts for diagnostics and benchmarks. */
  info(): EngineInfo;
}
