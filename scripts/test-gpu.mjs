// `npm run test:gpu`: the tests of the device path on this machine's own GPU and driver. What only the stand-in driver can
// show (injected failures) is skipped, and says so. Arguments go to vitest. --standin: on the stand-in after all, to try
// a pack where there is no GPU.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const args = process.argv.slice(2);
const standin = args.includes('--standin');

if (!standin) {
  const { cudaUnavailableReason } = await import('../dist/cuda/index.js');
  const reason = cudaUnavailableReason();
  if (reason !== null) {
    console.error(`test:gpu: no test was run: ${reason}`);
    process.exit(1);
  }
}
const { status } = spawnSync(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', 'test/cuda', ...args.filter((argument) => argument !== '--standin')],
  { cwd: root, stdio: 'inherit', env: { ...process.env, TENSOR_CHECKPOINT_TEST_GPU: standin ? '0' : '1' } },
);
process.exit(status ?? 1);
