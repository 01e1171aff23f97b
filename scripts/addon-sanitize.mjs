// Builds the addon under AddressSanitizer and UndefinedBehaviorSanitizer in a folder of its own and runs the native
// tests of the TypeScript side on it. What the C++ tests can't see (the Node-API binding) is seen here.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const copy = path.join(root, '.tmp', 'addon-sanitize');

rmSync(copy, { recursive: true, force: true });
mkdirSync(copy, { recursive: true });
// The stand-in CUDA driver is not built with sanitizers: it is built first, and taken along as it is.
spawnSync(process.execPath, ['scripts/standin-cuda.mjs'], { cwd: root, stdio: 'inherit' });
const copied = ['native', 'src', 'test', 'scripts', 'binding.gyp', 'package.json', 'tsconfig.json', 'vitest.config.ts'];
for (const name of copied) {
  cpSync(path.join(root, name), path.join(copy, name), { recursive: true, preserveTimestamps: true });
}
symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));

const flags = '-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g';
run('npm', ['run', 'build:native'], { CXXFLAGS: flags, LDFLAGS: '-fsanitize=address,undefined' });

const runtime = spawnSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).stdout.trim();
// All of test/cuda that runs the addon; nvcc, which the other one runs, is not for a sanitizer.
const tests = ['test/native', '--exclude', 'test/cuda/ptx.test.ts', 'test/cuda'];
run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...tests], {
  LD_PRELOAD: runtime,
  // TensorFlow is not built for it.
  TENSOR_CHECKPOINT_ORACLE: 'none',
  // Node itself is not built for leak checking; what it keeps until exit would drown ours.
  ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1',
});

function run(command, args, env) {
  const result = spawnSync(command, args, { cwd: copy, stdio: 'inherit', env: { ...process.env, ...env } });
  if (result.status !== 0) process.exit(result.status ?? 1);
}
