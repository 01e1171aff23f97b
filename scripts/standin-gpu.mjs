// Builds test/standin-gpu, a GPU for TensorFlow on the stand-in CUDA driver, over the TensorFlow of .tfjs-node
// (scripts/tfjs-node.mjs). Does nothing where it is up to date. Exit status 3: something that it needs isn't there.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const headers = `${root}.tfjs-node/node_modules/@tensorflow/tfjs-node/deps/include`;
const build = `${root}test/standin-gpu/build`;
const output = `${build}/standin_gpu.node`;
const inFolder = (folder, ending) =>
  readdirSync(root + folder).flatMap((name) => (name.endsWith(ending) ? [`${root}${folder}/${name}`] : []));
const sources = [
  ...inFolder('test/standin-gpu', '.cc'),
  `${root}native/device/cuda_driver.cc`,
  `${root}native/base/status.cc`,
];

const { mtimeMs = 0 } = statSync(output, { throwIfNoEntry: false }) ?? {};
const inputs = [...sources, ...inFolder('test/standin-gpu', '.h'), ...inFolder('native/device', '.h')];
if (inputs.every((path) => statSync(path).mtimeMs < mtimeMs)) process.exit(0);
if (!existsSync(`${headers}/tensorflow/c/kernels.h`)) stop('no tfjs-node in .tfjs-node: `node scripts/tfjs-node.mjs`');
const compiler = process.env.CXX ?? 'g++';
if (spawnSync(compiler, ['--version']).error !== undefined) stop('no C++ compiler was found');

mkdirSync(build, { recursive: true });
// Several processes may build it at once: each has a file of its own until it is whole.
const unfinished = `${output}.${process.pid}`;
const flags = ['-std=c++20', '-O1', '-shared', '-fPIC', '-fvisibility=hidden', '-Wall', '-Wextra'];
const include = [headers, `${root}native`, `${root}test/standin-gpu`].map((folder) => `-I${folder}`);
const { status, stderr } = spawnSync(compiler, [...flags, ...include, ...sources, '-ldl', '-o', unfinished], {
  encoding: 'utf8',
});
if (status !== 0) {
  console.error(`standin-gpu: ${stderr}`);
  process.exit(1);
}
renameSync(unfinished, output);

function stop(reason) {
  console.error(`standin-gpu: ${reason}`);
  process.exit(3);
}
