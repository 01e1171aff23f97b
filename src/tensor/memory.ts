import { CheckpointError, isCheckpointError } from '../errors.ts';
import { allocate } from '../native/engine.ts';

/** Zeroed memory for a tensor, aligned for direct I/O. OUT_OF_RANGE where one ArrayBuffer can't be that large. */
export function allocateMemory(bytes: number): ArrayBuffer {
  try {
    return allocate(bytes);
  } catch (cause) {
    if (isCheckpointError(cause) && cause.code === 'NATIVE_LOAD_FAILED') throw cause;
    throw new CheckpointError(
      'OUT_OF_RANGE',
      `Memory for a tensor of ${bytes} bytes can't be had in one piece: read it by slices, or give the process more memory.`,
      { cause },
    );
  }
}
