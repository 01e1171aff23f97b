/** The program of a load, and what it tells. */
import type { NativeError, NativeWarning, Progress } from './contract-events.ts';
import type { DeviceTable, TakenBuffers } from './contract-memory.ts';

/** In a load program: the extent has no destination, its bytes are only read and summed. */
export const NO_BUFFER = 0xffffffff;

/** The mirror of a save: file ranges → memory, with the checksums expected. Extents as in {@link SaveExtents}. */
export interface LoadProgram {
  readonly files: { readonly paths: readonly string[] };
  readonly taken?: TakenBuffers;
  readonly buffers: readonly ArrayBufferLike[];
  /** As in {@link SaveProgram}. A target's stream is waited for before the target is written to. */
  readonly devices?: DeviceTable;
  readonly owners?: readonly object[];
  readonly extents: {
    /** Without it all targets are `jsMemory`. */
    readonly kind?: Uint8Array;
    readonly file: Uint32Array;
    readonly fileOffset: Float64Array;
    readonly bytes: Float64Array;
    /** Number of a buffer, those taken first, or index into `devices`; or NO_BUFFER: read and sum only. */
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
