import { describeValue, invalidArgument } from '../errors.ts';
import * as engine from '../native/engine.ts';
import { checkDevice } from './pointers.ts';

/**
 * Sets page-locked host memory aside for saves with `snapshotPoolBytes`, so that the first of them is as fast as the
 * next: touched in parallel, in huge pages where the system has them, and locked once. Does nothing where there is so
 * much already. A good size is that of the state on the devices, rounded up by 4 MiB for each data file.
 *
 * @param bytes of all saves of the process together
 * @param device whose driver locks it; all devices can use it. Default 0
 * @throws CheckpointError OUT_OF_RANGE: there is not so much memory; CUDA_ERROR: the system lets no more be locked, and
 * the memory is used unlocked, which is slower (`ulimit -l`); CUDA_UNAVAILABLE.
 */
export async function reserveSnapshotPool(bytes: number, device = 0): Promise<void> {
  if (!Number.isSafeInteger(bytes) || bytes < 0) {
    throw invalidArgument(`reserveSnapshotPool: bytes must be a whole number from 0, not ${describeValue(bytes)}.`);
  }
  await engine.reserveSnapshotPool(bytes, checkDevice(device, 'reserveSnapshotPool'));
}

/**
 * Gives back what is only kept for saves and restores to come: the snapshot pool, locked staging memory, shadow copies on
 * devices. What is in use follows when it is done with.
 */
export async function releaseDeviceMemory(): Promise<void> {
  await engine.releaseDeviceMemory();
}
