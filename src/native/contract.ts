/**
 * The line between TypeScript and C++: **run this program to its commit.**
 *
 * TypeScript knows names, formats and numbering and writes a program; native knows bytes, files and durability and
 * runs it to its end on threads of its own, without asking back. So a save commits even if the JS thread never yields
 * again. Everything that grows with the number of tensors is a typed array (struct of arrays): no object, string or
 * call per tensor crosses the border, but for the names in contract-encode.ts.
 *
 * Offsets, lengths and addresses travel as doubles: exact up to 2^53, which no file and no user-space pointer exceeds.
 */

import type { CudaAddon } from './contract-cuda.ts';
import type { DecoderAddon } from './contract-decode.ts';
import type { EncoderAddon } from './contract-encode.ts';
import type { NativeError } from './contract-events.ts';
import type { LoadEvent, LoadProgram } from './contract-load.ts';
import type { TakenBuffers } from './contract-memory.ts';
import type { SaveEvent, SaveProgram } from './contract-save.ts';

export * from './contract-decode.ts';
export * from './contract-encode.ts';
export * from './contract-events.ts';
export * from './contract-load.ts';
export * from './contract-memory.ts';
export * from './contract-save.ts';

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
  /** Threads that a save or a restore may have. */
  readonly threads: number;
  /** How direct transfers are made: blocking calls on threads, or io_uring. Set by `TENSOR_CHECKPOINT_IO`. */
  readonly io: 'threads' | 'uring';
  /** The engine's version. */
  readonly version: string;
  /** Bytes outside of its heap that V8 knows of, which decide when it collects garbage. See {@link NativeAddon.allocate}. */
  readonly countedBytes: number;
}

/**
 * What the addon exports. Throws only plain Errors for programs that break the contract; the rest are events. Columns
 * (typed arrays with a row a tensor) are only looked at by the program's thread: what is wrong there fails the program,
 * INVALID_ARGUMENT, before it does anything. They must not be changed until it has ended.
 */
export interface NativeAddon extends CudaAddon, EncoderAddon, DecoderAddon {
  /** Appends buffers to those `taken` before (undefined: none yet), for a program's {@link SaveProgram.taken}, whose `owners` keep them alive. */
  takeBuffers(taken: TakenBuffers | undefined, ...buffers: readonly ArrayBufferLike[]): TakenBuffers;
  /** Starts a program; returns its id. Events never arrive before this call has returned. */
  startSave(program: SaveProgram, onEvent: (event: SaveEvent) => void): number;
  startLoad(program: LoadProgram, onEvent: (event: LoadEvent) => void): number;
  /** Asks a program to stop; it then fails with ABORTED unless it is past the point of no return. Idempotent. */
  abort(id: number): void;

  /**
   * Zeroed memory, 4096-byte aligned from that size on (2 MiB from 2 MiB on), with huge pages where the kernel gives them. `use`: what
   * becomes of it, where that saves something. `fill`: it is filled before anybody sees it, and of unspecified content
   * until then. `adopt`: filled, and then given to another owner: V8 doesn't count it, and collects no garbage for it. Of
   * other memory it counts a part, smaller the more there is, and of a `column` little. (From Node 23 on it counts all.)
   */
  allocate(bytes: number, use?: 'fill' | 'adopt' | 'column'): ArrayBuffer;
  /**
   * Frees memory of {@link allocate}'s before it is garbage, which no running program may use: the buffer is detached. Its
   * memory is free when the event loop turns.
   */
  free(buffer: ArrayBuffer): void;
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
