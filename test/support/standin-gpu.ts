import { spawnSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { describe } from 'vitest';
import { noStandin, onRealGpu, STANDIN } from './cuda.ts';
import { tfjsNodeMissing } from './tfjs-node-build.ts';

/** What runs tfjs-node as on a GPU: see test/standin-gpu. Not on a real one, which the plugin would stand in for. */

const root = fileURLToPath(new URL('../..', import.meta.url));

/** For processes that load the plugin. */
export const standinGpu = {
  plugin: `${root}test/standin-gpu/build/standin_gpu.node`,
  get environment(): Record<string, string> {
    const library = `${root}.tfjs-node/node_modules/@tensorflow/tfjs-node/deps/lib/libtensorflow_cc.so.2`;
    return {
      TF_CPP_MIN_LOG_LEVEL: '3',
      STANDIN_GPU_CUDA: STANDIN,
      STANDIN_GPU_TENSORFLOW: realpathSync(library),
    };
  },
};

const missing = whyMissing();

/** A `describe` of tfjs-node over a GPU that isn't there. */
export function describeOnStandinGpu(name: string, fn: () => void): void {
  if (missing === null) describe(name, fn);
  else describe.skip(`${name} (skipped: ${missing})`, () => {});
}

/** To be called before tfjs-node is loaded: from then on it finds a GPU. */
export function loadStandinGpu(): void {
  Object.assign(process.env, standinGpu.environment);
  createRequire(import.meta.url)(standinGpu.plugin);
}

function whyMissing(): string | null {
  const reason = onRealGpu ? 'it needs the stand-in driver' : (noStandin ?? tfjsNodeMissing());
  if (reason !== null) return reason;
  const { status, stderr } = spawnSync(process.execPath, ['scripts/standin-gpu.mjs'], { cwd: root, encoding: 'utf8' });
  if (status === 0) return null;
  if (status !== 3) throw new Error(stderr);
  return stderr.trim();
}
