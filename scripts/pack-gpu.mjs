// Packs what a machine with a GPU needs, which has neither Node nor a compiler nor a network: the built addon, dist, the
// tests of the device path with their runner, the benchmark, and this Node itself. One file below 60 MiB.
//
//   node scripts/pack-gpu.mjs [FILE.tar.xz]        default .tmp/gpu-pack.tar.xz
//   there: tar xf gpu-pack.tar.xz && gpu-pack/run test && gpu-pack/run bench DIRECTORY [options]
//
// `run test --standin` runs the tests on the stand-in driver, with its injected failures. Both machines must have the same
// processor architecture and a glibc at least as new as this one's.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const output = path.resolve(process.argv[2] ?? path.join(root, '.tmp/gpu-pack.tar.xz'));
const stage = path.join(root, '.tmp/gpu-pack');
const LIMIT = 60 * 2 ** 20;

const contents = [
  'package.json',
  'vitest.config.ts',
  'build/Release/tensor_checkpoint.node',
  'dist',
  'src',
  'test/cuda',
  'test/support',
  ...['standin_cuda', 'standin_cuda_old', 'other_library'].map(
    (name) => `test/standin-cuda/build/Release/${name}.node`,
  ),
  ...['crc32c_kernel.cu', 'crc32c_kernel.h', 'crc32c_ptx.cc'].map((name) => `native/device/${name}`),
  'scripts/build-ptx.mjs',
  'scripts/test-gpu.mjs',
  'benchmarks/gpu.js',
  'benchmarks/gpu_peers.py',
  'benchmarks/children/null-sink.c',
  // The runner of the tests and its compiler, and what the package itself depends on at run time.
  ...packagesOf(['vitest', 'vite', 'node-gyp-build', 'snappyjs']),
];

execFileSync(process.execPath, ['scripts/standin-cuda.mjs'], { cwd: root, stdio: 'inherit' });
execFileSync('npm', ['run', '--silent', 'build:ts'], { cwd: root, stdio: 'inherit' });
rmSync(stage, { recursive: true, force: true });
for (const name of contents) {
  if (!existsSync(path.join(root, name))) {
    console.error(`pack-gpu: ${name} is not there. Run npm run build first.`);
    process.exit(1);
  }
  cpSync(path.join(root, name), path.join(stage, name), { recursive: true });
}
mkdirSync(path.join(stage, 'bin'), { recursive: true });
cpSync(process.execPath, path.join(stage, 'bin/node'));
// The benchmark's sink, which a machine without a compiler can't build.
execFileSync('cc', [
  ...['-shared', '-fPIC', '-O2', '-o', path.join(stage, 'benchmarks/children/null-sink.so')],
  ...[path.join(root, 'benchmarks/children/null-sink.c'), '-ldl'],
]);
// Symbols for debuggers are a fifth of it.
spawnSync('strip', [path.join(stage, 'bin/node')]);
writeFileSync(
  path.join(stage, 'run'),
  `#!/bin/sh
# run test [--standin] [vitest's arguments] | run bench DIRECTORY [options]
here=$(cd "$(dirname "$0")" && pwd)
export TENSOR_CHECKPOINT_PREBUILT_STANDIN=1 TENSOR_CHECKPOINT_ORACLE=none
command=$1
[ $# -gt 0 ] && shift
case $command in
  test) cd "$here" && exec "$here/bin/node" scripts/test-gpu.mjs "$@" ;;
  bench) exec "$here/bin/node" --expose-gc "$here/benchmarks/gpu.js" "$@" ;;
  *) echo "usage: run test [--standin] | run bench DIRECTORY [options]" >&2; exit 2 ;;
esac
`,
);
chmodSync(path.join(stage, 'run'), 0o755);
mkdirSync(path.dirname(output), { recursive: true });
execFileSync('tar', ['-C', path.dirname(stage), '-cJf', output, path.basename(stage)], {
  env: { ...process.env, XZ_OPT: '-T0 -4' },
});
rmSync(stage, { recursive: true });
const { size } = statSync(output);
console.log(`pack-gpu: ${output}, ${(size / 2 ** 20).toFixed(1)} MiB`);
if (size > LIMIT) {
  console.error(`pack-gpu: that is more than ${LIMIT / 2 ** 20} MiB`);
  process.exit(1);
}

/** Folders of these packages and of all that they depend on, as far as they are installed. */
function packagesOf(names) {
  const found = new Set();
  const visit = (name, from) => {
    for (let folder = from; folder.startsWith(root.replace(/\/$/, '')); folder = path.dirname(folder)) {
      const candidate = path.join(folder, 'node_modules', name);
      if (!existsSync(path.join(candidate, 'package.json'))) continue;
      if (found.has(candidate)) return;
      found.add(candidate);
      const { dependencies, optionalDependencies } = JSON.parse(
        readFileSync(path.join(candidate, 'package.json'), 'utf8'),
      );
      for (const dependency of Object.keys({ ...dependencies, ...optionalDependencies })) visit(dependency, candidate);
      return;
    }
  };
  for (const name of names) visit(name, root.replace(/\/$/, ''));
  return [...found].map((folder) => path.relative(root, folder));
}
