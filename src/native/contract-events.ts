/** What programs tell while they run, whatever they do. */

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
