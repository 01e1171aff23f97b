import { constants } from 'node:buffer';
import { CheckpointError, isCheckpointError } from '../errors.ts';
import { allocate } from '../native/engine.ts';

/**
 * A range of bytes in memory that JS sees. Any typed array is one. A `Uint8Array` is not asked for, because Node 20
 * can't make one of more than 4 GiB, while the `Float32Array` over the same memory is fine.
 */
export interface MemoryRange {
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** Entries that one typed array can have in this runtime: 2^32 in Node 20, more later. */
export const MAX_VIEW_LENGTH = constants.MAX_LENGTH;

const COPY_BYTES = 2 ** 30;

/**
 * Zeroed memory for a tensor, aligned for direct I/O; with a `use`, of unspecified content, to be filled before anybody
 * sees it, and with `adopt` given to another owner soon. OUT_OF_RANGE where one ArrayBuffer can't be that large.
 */
export function allocateMemory(bytes: number, use?: 'fill' | 'adopt'): ArrayBuffer {
  try {
    return allocate(bytes, use);
  } catch (cause) {
    if (isCheckpointError(cause) && cause.code === 'NATIVE_LOAD_FAILED') throw cause;
    throw new CheckpointError(
      'OUT_OF_RANGE',
      `Memory for a tensor of ${bytes} bytes can't be had in one piece: read it by slices, or give the process more memory.`,
      { cause },
    );
  }
}

/** Bytes [start, start + length) of a range, as a view. `length` is at most 4 GiB. */
export function viewBytes(range: MemoryRange, start: number, length: number): Uint8Array {
  return new Uint8Array(range.buffer, range.byteOffset + start, length);
}

/** Copies all of `from` to `to`, which is as long. */
export function copyMemory(to: MemoryRange, from: MemoryRange): void {
  for (let at = 0; at < from.byteLength; at += COPY_BYTES) {
    const length = Math.min(COPY_BYTES, from.byteLength - at);
    viewBytes(to, at, length).set(viewBytes(from, at, length));
  }
}
