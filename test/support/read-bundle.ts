import type { Bundle, BundleReadOptions } from '../../src/bundle/index.ts';
import type { MemoryRange } from '../../src/tensor/memory.ts';

/** Reads a tensor into this memory. */
export function readInto(bundle: Bundle, key: string, into: MemoryRange, options?: BundleReadOptions): Promise<void> {
  return bundle.read({ length: 1, row: () => bundle.entries.find(key), into: () => into }, options);
}
