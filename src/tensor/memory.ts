/** Zeroed memory for tensors. */
export function allocateMemory(bytes: number): ArrayBuffer {
  return new ArrayBuffer(bytes);
}
