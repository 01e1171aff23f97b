import type { NativeWarning, Progress, SaveProgram } from '../native/contract.ts';
import type { KeyColumns } from '../native/decode.ts';
import type { NativeBytes } from '../native/encode.ts';
import type { DType } from '../tensor/dtypes.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import type { MemoryRange } from '../tensor/memory.ts';
import type { DeviceMemory, TensorSource } from '../tensor/source.ts';
import type { KeyColumn } from './key-column.ts';
import type { RowMap } from './row-map.ts';
import type { SourceColumns } from './source-columns.ts';

/** A tensor to be saved, and its key. */
export interface BundleEntry {
  readonly key: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly source: TensorSource;
}

/** {@link BundleEntry}s as columns: very many of them are planned without an object for each. */
export interface BundleColumns {
  readonly keys: KeyColumn;
  readonly dtypes: readonly DType[];
  readonly shapes: ReadonlyArray<readonly number[]>;
  readonly sources: SourceColumns;
}

export interface PlanOptions {
  /** Path of the checkpoint, without suffix. */
  readonly prefix: string;
  /** Number of data files; clamped to the number of entries. Default: by size, see layout.ts. */
  readonly shards?: number;
  /** Upper bound of a data file, bytes; a tensor larger than that gets a file of its own. */
  readonly maxShardBytes?: number;
  /** Counts that are taken: a prefix is replaced atomically by writing its new data under another shard count. */
  readonly avoidShardCounts?: ReadonlySet<number>;
}

/** All that a SaveProgram needs about the tensors: everything but steps and options. */
export interface BundlePlan
  extends Pick<SaveProgram, 'files' | 'buffers' | 'taken' | 'devices' | 'owners' | 'extents' | 'tensorCount'> {
  readonly prefix: string;
  /** The index file but for checksums. Other plans share its bytes; `values` are those checksums that are known. */
  readonly index: {
    readonly bytes: NativeBytes;
    readonly values: { readonly position: Float64Array; readonly value: Uint32Array };
    readonly patches: { readonly position: Float64Array; readonly tensor: Uint32Array };
    readonly seals: { readonly start: Float64Array; readonly length: Float64Array; readonly position: Float64Array };
  };
  /** Bytes of all tensors as stored, without padding and index. */
  readonly byteLength: number;
  readonly shardCount: number;
  /** Key of tensor `tensor` (an index into the plan's own order), for messages. */
  keyOf(tensor: number): string;
  /** Frees what no other plan shares. Once its program has ended, or if there never was one. */
  free(): void;
}

/** A box in a tensor: per dimension [start, length], or null for the whole dimension. */
export type TensorSlice = ReadonlyArray<readonly [start: number, length: number] | null>;

/** What the index says about a tensor. */
export interface BundleEntryInfo {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Bytes the tensor takes in the data files. */
  readonly byteLength: number;
  /** Data file, offset in it and unmasked CRC-32C; null for a tensor that is stored in slices. */
  readonly shard: number | null;
  readonly offset: number | null;
  readonly crc32c: number | null;
  /** The parts of a tensor that is stored in slices, else null. */
  readonly slices: readonly TensorSlice[] | null;
}

export interface BundleReadOptions {
  /** Threads; default: the engine's choice. */
  readonly threads?: number;
  /** Upper bound of staging memory, bytes. @default 256 MiB */
  readonly stagingBytes?: number;
  /** Compare checksums. @default true */
  readonly verify?: boolean;
  /** Have devices sum what they got, too, and compare. @default false */
  readonly deviceChecksum?: boolean;
  /** Read into devices without passing the host: required, or `'auto'`, where that is possible. @default false */
  readonly gpuDirect?: boolean | 'auto';
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  readonly onWarning?: (warning: NativeWarning & { key?: string }) => void;
}

/** Something whose key may be made when it is asked for: of very many tensors, only messages need it. */
export interface Keyed {
  readonly key: string;
}

/** Fixed-width tensors to be read. They are asked for one by one, in several turns and more than once: there may be very many. */
export interface BundleReads {
  readonly length: number;
  /** The row in `entries`. */
  row(i: number): number;
  /** Memory of exactly the tensor's size, the host's or a device's. Undefined: it isn't read. */
  into(i: number): MemoryRange | DeviceMemory | undefined;
}

/** An open checkpoint: its index is in memory, whole and checked; the data files are read on demand. */
export interface Bundle {
  readonly prefix: string;
  readonly shardCount: number;
  /** By key, in the order of the index's rows. */
  readonly entries: RowMap<BundleEntryInfo>;
  has(key: string): boolean;
  /** NOT_FOUND for a key that the checkpoint hasn't. */
  info(key: string): BundleEntryInfo;
  /** The keys of `entries`, for native. */
  readonly keyColumns: KeyColumns;
  dataPath(shard: number): string;
  /**
   * Reads fixed-width tensors in place, in one load program. Rejects with DATA_LOSS and the like; the error's
   * `overwritten` names the keys whose memory was written to, wholly or in part.
   */
  read(reads: BundleReads, options?: BundleReadOptions): Promise<void>;
  /** Reads a tensor of any dtype but variant, or a slice of it, into new memory. */
  readTensor(key: string, options?: BundleReadOptions & { readonly slice?: TensorSlice }): Promise<HostTensor>;
  /** Several whole tensors of any dtype but variant, fixed-width ones in one load program. `keys` is asked in several turns. */
  readTensors(keys: Iterable<string>, options?: BundleReadOptions): Promise<Map<string, HostTensor>>;
}
