import { isCheckpointError } from '../errors.ts';
import { cudaProblem, listDevices } from '../native/cuda.ts';

/** A CUDA device. */
export interface CudaDevice {
  /** Its number, from 0: what `device` options take. CUDA_VISIBLE_DEVICES changes the numbering. */
  readonly ordinal: number;
  readonly name: string;
  /** Bytes. */
  readonly totalMemory: number;
  /** Such as `0000:01:00.0`; names a device whatever its ordinal is. */
  readonly pciBusId: string;
}

/**
 * Whether tensors in the memory of a CUDA device can be used. `false` is a normal state. The first call loads the driver
 * (`libcuda.so.1`, or what the environment variable TENSOR_CHECKPOINT_CUDA_LIBRARY names); the answer does not change
 * within a process. Never throws.
 */
export function cudaAvailable(): boolean {
  return cudaUnavailableReason() === null;
}

/** Why {@link cudaAvailable} is false: no driver, one that is too old or may not be used, no device. null where it is true. */
export function cudaUnavailableReason(): string | null {
  try {
    return cudaProblem()?.message ?? null;
  } catch (error) {
    if (isCheckpointError(error)) return error.message;
    throw error;
  }
}

/**
 * The devices there are; none where CUDA is not available.
 *
 * @throws CheckpointError CUDA_ERROR if the driver fails, with its name for the error in `errno`.
 */
export function cudaDevices(): CudaDevice[] {
  return cudaAvailable() ? listDevices().map((device) => Object.freeze({ ...device })) : [];
}
