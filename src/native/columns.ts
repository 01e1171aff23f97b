/**
 * Columns of numbers, with a row a tensor, of which a save has dozens. At a million tensors they are 8 MB each: V8 would
 * collect garbage for them several times in a save, look through its whole heap each time, and find little. So it is told
 * of a small part, and what is of no more use is freed by name.
 */
import { loadAddon } from './loader.ts';

/** Less is V8's own: that is faster, and such memory comes in huge pages, which are no other's. Bytes. */
const LARGE = 2 ** 21;

export const uint8Column = (length: number): Uint8Array => new Uint8Array(zeroed(length), 0, length);
export const int32Column = (length: number): Int32Array => new Int32Array(zeroed(4 * length), 0, length);
export const uint32Column = (length: number): Uint32Array => new Uint32Array(zeroed(4 * length), 0, length);
export const float64Column = (length: number): Float64Array => new Float64Array(zeroed(8 * length), 0, length);

/** Frees columns that nobody uses any more, native's programs included. What isn't freed is garbage as everything else. */
export function freeColumns(...columns: readonly ArrayBufferView[]): void {
  for (const { buffer } of columns) if (buffer.byteLength >= LARGE) loadAddon().free(buffer as ArrayBuffer);
}

function zeroed(bytes: number): ArrayBuffer {
  return bytes < LARGE ? new ArrayBuffer(bytes) : loadAddon().allocate(bytes, 'column');
}
