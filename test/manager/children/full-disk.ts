/** Run with a limit of 64 KiB a file: a small save, one that doesn't fit, a small one again. */
import { Checkpoint } from '../../../src/checkpoint/checkpoint.ts';
import { isCheckpointError } from '../../../src/errors.ts';
import { CheckpointManager } from '../../../src/manager/index.ts';
import { HostTensor } from '../../../src/tensor/host-tensor.ts';
import { names } from '../run.ts';

const small = new HostTensor({ dtype: 'float32', shape: [4], data: new Float32Array(4) });
const large = new HostTensor({ dtype: 'float32', shape: [65536], data: new Float32Array(65536) });
const objects: Record<string, HostTensor> = { small };
const checkpoint = new Checkpoint(objects);
const manager = new CheckpointManager(checkpoint, { directory: process.argv[2]!, maxToKeep: 5 });
await manager.save();
objects.large = large;
let failed = '';
try {
  await manager.save();
} catch (error) {
  failed = isCheckpointError(error) ? error.code : String(error);
}
const latest = names([manager.latestCheckpoint!])[0];
const counter = checkpoint.saveCounter.value;
delete objects.large;
const next = names([(await manager.save())!])[0];
process.stdout.write(JSON.stringify({ failed, latest, counter, next }));
