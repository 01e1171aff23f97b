// Builds the addon under AddressSanitizer and UndefinedBehaviorSanitizer in a folder of its own and runs the native
// tests of the TypeScript side on it, with tfjs-node those of TensorFlow's memory too. What the C++ tests can't see (the
// Node-API binding) is seen here.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
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

const flags = '-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1 -g1';
run('npm', ['run', 'build:native'], { CXXFLAGS: flags, LDFLAGS: '-fsanitize=address,undefined' });

const environment = {
  LD_PRELOAD: spawnSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).stdout.trim(),
  // TensorFlow is not built for it.
  TENSOR_CHECKPOINT_ORACLE: 'none',
  // Node itself is not built for leak checking; what it keeps until exit would drown ours. And the containers that
  // TensorFlow's code and ours share are only watched on one side.
  ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:detect_container_overflow=0',
};
// All of test/cuda that runs the addon; nvcc, which the other one runs, is not for a sanitizer.
test('test/native', '--exclude', 'test/cuda/ptx.test.ts', 'test/cuda');
if (existsSync(path.join(root, '.tfjs-node'))) {
  symlinkSync(path.join(root, '.tfjs-node'), path.join(copy, '.tfjs-node'));
  // Resident memory is no measure here: the sanitizer holds back what is freed.
  test('test/tfjs-node', '--testNamePattern', '^(?!.*keeps its number of tensors and its memory)');
} else {
  console.error('addon-sanitize: skipped: tfjs-node (.tfjs-node); `node scripts/tfjs-node.mjs` builds it');
}

function test(...filters) {
  run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...filters], environment);
}

function run(command, args, env) {
  const result = spawnSync(command, args, { cwd: copy, stdio: 'inherit', env: { ...process.env, ...env } });
  if (result.status !== 0) process.exit(result.status ?? 1);
}
