/** The part of the addon's contract about memory of CUDA devices, beside what programs move. */
import type { NativeError } from './contract.ts';

/** A share in device memory. Opaque; it gives the share up when it is collected. */
export type DeviceHandle = object & { readonly __deviceHandle?: never };

export interface CudaDeviceInfo {
  readonly ordinal: number;
  readonly name: string;
  /** Bytes. */
  readonly totalMemory: number;
  readonly pciBusId: string;
}

/** What the driver knows of a pointer. */
export interface PointerInfo {
  readonly kind: 'unknown' | 'host' | 'device' | 'managed';
  readonly device: number;
  /** How many of the bytes asked for are mapped there without a gap. */
  readonly bytes: number;
}

/** A DLPack tensor. Its type: DLDataTypeCode, bits, lanes. */
export interface DLPackTensor {
  readonly pointer: bigint;
  readonly device: number;
  readonly code: number;
  readonly bits: number;
  readonly lanes: number;
  readonly shape: readonly number[];
  readonly readOnly: boolean;
  /** Where it was taken over. */
  readonly handle?: DeviceHandle;
}

type OrError<T> = T | { readonly error: NativeError };

export interface CudaAddon {
  /** null where a CUDA driver and a device are there; else why not. Loads the driver at the first call. */
  cudaUnavailable(): NativeError | null;
  cudaDevices(): OrError<CudaDeviceInfo[]>;
  /** Uninitialized device memory; `bytes` is not 0. */
  cudaAllocate(device: number, bytes: number): OrError<{ readonly pointer: bigint; readonly handle: DeviceHandle }>;
  /** Gives up a share in device memory; again does nothing. The memory is freed on the engine's threads. */
  cudaRelease(handle: DeviceHandle): void;
  cudaDescribe(pointer: bigint, bytes: number): OrError<PointerInfo>;
  /**
   * Copies between a device and host memory on the engine's threads, behind what `stream` has been given to do (null:
   * behind all work of the device's context). `buffer` and `owner` are kept alive until `done` was called.
   */
  cudaCopy(
    toHost: boolean,
    device: number,
    stream: bigint | null,
    pointer: bigint,
    buffer: ArrayBufferLike,
    offset: number,
    bytes: number,
    done: (error: NativeError | null) => void,
    owner?: object,
  ): void;
  /** Looks at the tensor in an External and, with `take`, takes it over. Refused, it still belongs to who gave it. */
  dlpackTake(external: object, versioned: boolean, take: boolean): OrError<DLPackTensor>;
  /**
   * An External with a tensor that has a share in the memory, or else keeps an object alive; who takes it calls its
   * deleter.
   */
  dlpackGive(
    keeper: object,
    isHandle: boolean,
    pointer: bigint,
    device: number,
    code: number,
    bits: number,
    shape: readonly number[],
    versioned: boolean,
  ): object;
}
