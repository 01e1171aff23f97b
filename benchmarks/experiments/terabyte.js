// @ts-check
// A terabyte in a million tensors. No machine of ours has that much memory or disk, so every tensor is a view on one
// buffer, and the data files get their size and no bytes: planning, checksums, index and commit are real, writing is not.
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { markdownTable } from '../lib/markdown.js';
import { answerIn } from '../lib/reply.js';
import { formatRate, formatSize, formatTime, UsageError } from '../lib/units.js';
import { findPeers } from '../peers/peers.js';

const file = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url));
const TENSOR_BYTES = 1_000_000;

/** @param {import('../instrument.js').Context} context */
export async function run({ options, workspace, progress, log }) {
  const tensors = options.tensors ?? 1_000_000;
  const library = workspace.path('null-sink.so');
  const compiled = spawnSync(
    'cc',
    ['-shared', '-fPIC', '-O2', '-o', library, file('../children/null-sink.c'), '-ldl'],
    { encoding: 'utf8' },
  );
  if (compiled.status !== 0) {
    throw new UsageError(
      `The experiment terabyte needs a C compiler for its null sink: ${compiled.stderr ?? compiled.error?.message}`,
    );
  }
  const directory = workspace.path('terabyte');
  progress(`${tensors} tensors of ${TENSOR_BYTES} bytes, twice`);
  const order = { tensors, bytes: TENSOR_BYTES, directory, write: options.write };
  const { stdout } = await workspace.run(
    process.execPath,
    ['--expose-gc', file('../children/terabyte.js'), JSON.stringify(order)],
    {
      env: { ...options.env, LD_PRELOAD: library },
    },
  );
  const { saves, stateBytes } = answerIn(stdout);
  const prefix = saves.at(-1).result;
  const shards = readdirSync(directory)
    .filter((name) => name.includes('.data-'))
    .map((name) => statSync(path.join(directory, name)));
  const logical = shards.reduce((sum, { size }) => sum + size, 0);
  const allocated = shards.reduce((sum, { blocks }) => sum + blocks * 512, 0);
  if (logical < tensors * TENSOR_BYTES) throw new Error(`The shards hold ${logical} bytes, fewer than were saved.`);
  if (allocated > 0.01 * logical + 2 ** 26)
    throw new Error(
      'The bytes went past the null sink to the disk: it can only catch pwrite. Choose the thread engine with --env.',
    );

  progress('opening it with TensorFlow');
  const { found } = await findPeers(workspace, 'auto', options.python);
  const peer = found.find(({ name }) => name === 'tensorflow');
  let tensorflow = null;
  if (peer) {
    const keyOf = (/** @type {number} */ index) =>
      `layer_${index % 1000}/weight_${Math.floor(index / 1000)}/.ATTRIBUTES/VARIABLE_VALUE`;
    const keys = [0, 1, tensors - 1].map(keyOf);
    tensorflow = answerIn(
      (await workspace.run(peer.python, [file('../peers/open_with_tensorflow.py'), prefix, ...new Set(keys)])).stdout,
    );
  } else {
    log('not opened by TensorFlow: no Python environment here has it');
  }
  workspace.remove('terabyte');
  return {
    tensors,
    bytes: tensors * TENSOR_BYTES,
    stateBytes,
    logical,
    allocated,
    shards: shards.length,
    saves,
    tensorflow,
  };
}

/** @param {Awaited<ReturnType<typeof run>>} result */
export function describe({ tensors, bytes, saves, logical, allocated, shards, tensorflow }) {
  return [
    markdownTable(
      [
        `${(bytes / 1e12).toPrecision(3)} TB in ${tensors.toLocaleString('en')} tensors`,
        'time',
        'summed at',
        'before the first wait',
        'longest gap',
        'library memory',
      ],
      saves.map((/** @type {any} */ save, /** @type {number} */ index) => [
        `save ${index + 1}`,
        formatTime(save.seconds),
        formatRate(bytes / save.seconds),
        `${save.beginMs.toFixed(1)} ms`,
        `${save.gapMs.toFixed(1)} ms`,
        formatSize(save.extraBytes),
      ]),
    ),
    `${shards} sparse shards: ${formatSize(logical)}, ${formatSize(allocated)} on the disk. ${
      tensorflow
        ? `TensorFlow opens it in ${formatTime(tensorflow.seconds)}: ${tensorflow.variables.toLocaleString('en')} variables, those read ${tensorflow.zeros ? 'right' : 'WRONG'}.`
        : 'Not opened by TensorFlow: no Python environment here has it.'
    }`,
  ].join('\n\n');
}
