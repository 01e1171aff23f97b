import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { compileChild } from '../support/child.ts';
import { STANDIN } from '../support/cuda.ts';
import { testDirectories } from '../support/directory.ts';
import { describeOnStandinGpu, standinGpu } from '../support/standin-gpu.ts';

const directory = testDirectories();

async function run(env: Record<string, string> = {}): Promise<unknown> {
  const script = await compileChild(new URL('./gpu-child.ts', import.meta.url));
  const child = spawn(process.execPath, [script, directory(), standinGpu.plugin], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...standinGpu.environment, STANDIN_CUDA_DEVICES: '1', ...env },
  });
  const [output, errors, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null, string | null]>,
  ]);
  if (code !== 0) throw new Error(`${signal ?? code}: ${errors}`);
  return JSON.parse(output);
}

describeOnStandinGpu('a process with tfjs-node on a GPU', () => {
  const onDevice = { tensorPath: 'device', pathReason: null, right: true };

  it('saves and restores where TensorFlow divides large pieces of memory among its tensors', async () => {
    expect(await run({ STANDIN_GPU_BFC: '1', STANDIN_CUDA_COPY_MICROSECONDS: '5000' })).toEqual(onDevice);
  });

  it('saves and restores with two devices, of which tfjs-node uses both', async () => {
    expect(await run({ STANDIN_CUDA_DEVICES: '2', STANDIN_GPU_DEVICES: '2' })).toEqual(onDevice);
  });

  it('saves and restores in worker threads, too', async () => {
    expect(await run({ GPU_CHILD_WORKER: '1' })).toEqual(onDevice);
  });

  it('goes by data() where there is no CUDA driver', async () => {
    expect(await run({ TENSOR_CHECKPOINT_CUDA_LIBRARY: '/nowhere/libcuda.so' })).toEqual({
      tensorPath: 'data',
      pathReason: expect.stringMatching(/^the tensors are on a GPU, and .*\/nowhere\/libcuda\.so/),
      right: true,
    });
  });

  it('goes by data() where the CUDA driver knows nothing of the GPU that TensorFlow uses', async () => {
    // The same driver once more, with other devices than those of the plugin.
    const other = join(directory(), 'libcuda.so');
    copyFileSync(STANDIN, other);
    expect(await run({ TENSOR_CHECKPOINT_CUDA_LIBRARY: other })).toEqual({
      tensorPath: 'data',
      pathReason: expect.stringContaining("the CUDA driver doesn't know the memory of TensorFlow's GPU"),
      right: true,
    });
  });
});
