import { HostTensor } from '../tensor/host-tensor.ts';
import { allocateMemory } from '../tensor/memory.ts';
import type { BundleEntryInfo } from './types.ts';

/**
 * A tensor that a stored one of fixed width is read into: all of it, or nobody sees it.
 *
 * @param use as of {@link allocateMemory}.
 */
export function newTensor(
  { dtype, shape, slices, byteLength }: BundleEntryInfo,
  use: 'fill' | 'adopt' = 'fill',
): HostTensor {
  // The parts of a sliced tensor are trusted less to be all of it.
  if (slices !== null) return HostTensor.allocate({ dtype, shape });
  return new HostTensor({ dtype, shape, data: allocateMemory(byteLength, use) });
}
