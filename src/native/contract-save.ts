/** The program of a save, and what it tells. */
import type { NativeBytes } from './contract-encode.ts';
import type { NativeError, NativeWarning, Progress } from './contract-events.ts';
import type { DeviceTable, TakenBuffers } from './contract-memory.ts';

/**
 * Contiguous runs of bytes and where in the files they go. Extents of one tensor are listed in the order of the
 * tensor's bytes, one after the other. They may be of any length and alignment, zero included.
 */
export interface SaveExtents {
  readonly kind: Uint8Array;
  /** Number of a buffer, those taken first; for device memory, index into `devices`; ignored for absolute addresses of the host. */
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
  readonly bytes: Uint8Array | NativeBytes;
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

export interface SaveProgram {
  /** Data files: created with O_EXCL under their final names; without an index they mean nothing to any reader. */
  readonly files: { readonly paths: readonly string[]; readonly sizes: Float64Array };
  /** Buffers that native has taken already. It is used up by the start. */
  readonly taken?: TakenBuffers;
  /** Memory that extents refer to, numbered behind what was taken. Resizable buffers are refused. */
  readonly buffers: readonly ArrayBufferLike[];
  /** Needed when an extent lies in device memory. */
  readonly devices?: DeviceTable;
  /** What keeps buffers that were taken alive, and what lies at addresses. Kept until the program has ended. */
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
  /** true: all extents in `jsMemory` and `nativeMemory` go through staging and *captured* is reached when the last byte is in it. */
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

/** Events of a save program, delivered on the JS thread that started it, in order. The last is finished or failed. */
export type SaveEvent =
  | { readonly type: Milestone; readonly seconds: number }
  | { readonly type: 'progress'; readonly progress: Progress }
  | { readonly type: 'warning'; readonly warning: NativeWarning }
  | { readonly type: 'finished'; readonly stats: SaveStats }
  /** `published`: the committing publish had been reached. `undone`: the undo steps all succeeded. */
  | { readonly type: 'failed'; readonly error: NativeError; readonly published: boolean; readonly undone: boolean };
