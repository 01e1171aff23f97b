/** The addon's view of CUDA devices, with CheckpointErrors. Nothing of CUDA is loaded before a function is called. */
import type { CheckpointError } from '../errors.ts';
import type { NativeError } from './contract.ts';
import type { CudaDeviceInfo, DeviceHandle, DLPackTensor } from './contract-cuda.ts';
import { guard, toCheckpointError } from './engine.ts';
import { loadAddon } from './loader.ts';

export type { CudaDeviceInfo, DeviceHandle, DLPackTensor };

/** A run of bytes in host memory. */
export interface HostRange {
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** A run of bytes on a device, and the stream behind whose work it is used (undefined: behind all work there). */
export interface DeviceRange {
  readonly pointer: bigint;
  readonly device: number;
  readonly byteLength: number;
  readonly stream?: bigint | undefined;
  readonly owner?: object | undefined;
}

/** Why no CUDA device can be used; null where one can. */
export function cudaProblem(): CheckpointError | null {
  const error = loadAddon().cudaUnavailable();
  return error === null ? null : toCheckpointError(error);
}

export function listDevices(): CudaDeviceInfo[] {
  return checked(loadAddon().cudaDevices());
}

export function allocateDevice(device: number, bytes: number): { pointer: bigint; handle: DeviceHandle } {
  return checked(guard(() => loadAddon().cudaAllocate(device, bytes)));
}

export function releaseDevice(handle: DeviceHandle): void {
  loadAddon().cudaRelease(handle);
}

export function describePointer(pointer: bigint, bytes: number) {
  return checked(guard(() => loadAddon().cudaDescribe(pointer, bytes)));
}

/** Resolves when the bytes are there. Both ranges have the same length. */
export function copyToHost(from: DeviceRange, to: HostRange): Promise<void> {
  return copy(true, from, to);
}

export function copyToDevice(from: HostRange, to: DeviceRange): Promise<void> {
  return copy(false, to, from);
}

export function takeDLPack(external: object, versioned: boolean, take: boolean): DLPackTensor {
  return checked(guard(() => loadAddon().dlpackTake(external, versioned, take)));
}

/** @param keeps the share in the memory, or an object that is kept alive until the tensor's deleter was called. */
export function giveDLPack(
  keeps: { readonly keeper: object; readonly isHandle: boolean },
  { pointer, device }: DeviceRange,
  type: { readonly code: number; readonly bits: number },
  shape: readonly number[],
  versioned: boolean,
): object {
  const { keeper, isHandle } = keeps;
  const { code, bits } = type;
  return guard(() => loadAddon().dlpackGive(keeper, isHandle, pointer, device, code, bits, shape, versioned));
}

function copy(toHost: boolean, device: DeviceRange, host: HostRange): Promise<void> {
  return new Promise((resolve, reject) => {
    guard(() =>
      loadAddon().cudaCopy(
        toHost,
        device.device,
        device.stream ?? null,
        device.pointer,
        host.buffer,
        host.byteOffset,
        host.byteLength,
        (error) => (error === null ? resolve() : reject(toCheckpointError(error))),
        device.owner,
      ),
    );
  });
}

function checked<T extends object>(result: T | { readonly error: NativeError }): T {
  if ('error' in result) throw toCheckpointError(result.error);
  return result;
}
