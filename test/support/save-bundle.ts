import { dirname } from 'node:path';
import { type BundleEntry, indexPath, type PlanOptions, planBundle } from '../../src/bundle/index.ts';
import { runSave } from '../../src/native/engine.ts';
import { type HostTensorInit, hostTensorSource, toHostTensor } from '../../src/tensor/host-tensor.ts';

/** A bundle entry over a tensor's memory. */
export function entryOf(key: string, value: HostTensorInit): BundleEntry {
  const tensor = toHostTensor(value);
  return { key, dtype: tensor.dtype, shape: tensor.shape, source: hostTensorSource(tensor) };
}

/** Saves entries under a prefix without the checkpoint layer: the steps of a save, without durability. */
export async function saveBundle(
  entries: readonly BundleEntry[],
  options: PlanOptions & { overwrite?: boolean },
): Promise<void> {
  const plan = planBundle(entries, options);
  const run = runSave({
    files: plan.files,
    taken: plan.taken,
    buffers: plan.buffers,
    owners: plan.owners,
    devices: plan.devices,
    extents: plan.extents,
    tensorCount: plan.tensorCount,
    blobs: [{ temporaryPath: `${indexPath(options.prefix)}.tmp-test`, ...plan.index }],
    steps: [
      { op: 'create', blob: 0 },
      { op: 'write' },
      { op: 'finish', blob: 0 },
      { op: 'sync' },
      { op: 'syncDirectory', path: dirname(options.prefix) },
      { op: 'publish', blob: 0, path: indexPath(options.prefix), commits: true },
    ],
    undo: [],
    options: { threads: 1, stagingBytes: 2 ** 24, copy: false, durable: false, direct: true, progress: false },
  });
  await run.finished;
}
