/** Says what a process sees of CUDA, and that it works without. Run by unavailable.test.ts. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cudaAvailable, cudaDevices, cudaUnavailableReason, DeviceTensor } from '../../src/cuda/index.ts';
import { isCheckpointError } from '../../src/errors.ts';
import { Checkpoint, HostTensor } from '../../src/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'tensor-checkpoint-'));
const tensor = new HostTensor({ dtype: 'float32', shape: [3], data: new Float32Array(3) });
const prefix = await new Checkpoint({ tensor }).save(join(directory, 'ckpt'));
await new Checkpoint({ tensor }).restore(prefix);
rmSync(directory, { recursive: true });

let allocated = 'allocated';
try {
  DeviceTensor.allocate({ dtype: 'float32', shape: [3] });
} catch (error) {
  allocated = isCheckpointError(error) ? error.code : String(error);
}
console.log(
  JSON.stringify({ available: cudaAvailable(), reason: cudaUnavailableReason(), devices: cudaDevices(), allocated }),
);
