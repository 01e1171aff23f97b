// `node --expose-gc benchmarks/many.js [DIR] [--count 100000] [--bytes 1024] [--rounds 3] [--json]`: many small tensors,
// in turns with TensorFlow's raw SaveV2 of as many where a Python environment here has it.
// What counts here is no longer the disk but what each tensor costs on its way: the walk over the objects, keys, object
// graph, index, plan. Every round is a fresh process, so the code is cold the first time it runs, as in a real one.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Checkpoint, HostTensor } from 'tensor-checkpoint';
import { observe } from './lib/observe.js';
import { answerIn } from './lib/reply.js';
import { pythonCandidates } from './peers/peers.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: 'string', default: '100000' },
    bytes: { type: 'string', default: '1024' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
    child: { type: 'string' },
    prefix: { type: 'string' },
  },
});
const count = Number(values.count);
const bytes = Number(values.bytes);
if (!Number.isInteger(count) || count < 1) throw new Error(`--count takes a whole number from 1, not ${values.count}`);
if (!Number.isInteger(bytes) || bytes < 4 || bytes % 4 !== 0) {
  throw new Error(`--bytes takes a multiple of 4, not ${values.bytes}`);
}

if (values.child === 'save') await saveChild(values.prefix);
else if (values.child === 'restore') await restoreChild(values.prefix);
else parent();

/** A list of layers, a few tensors each, the way models have them. */
function makeState() {
  const layers = [];
  for (let index = 0; index < count; index++) {
    if (index % 4 === 0) layers.push({});
    const data = new Float32Array(bytes / 4).fill(index);
    layers[layers.length - 1][`weight${index % 4}`] = new HostTensor({ dtype: 'float32', shape: [bytes / 4], data });
  }
  return { layers };
}

/** Three saves of one structure: the first also compiles the code, and lays the files out. */
async function saveChild(prefix) {
  const checkpoint = new Checkpoint(makeState());
  const saves = [];
  for (let save = 0; save < 3; save++) {
    const { result, ...figures } = await observe(() => checkpoint.write(`${prefix}-${save}`));
    saves.push(figures);
  }
  console.log(JSON.stringify(saves));
}

async function restoreChild(prefix) {
  const state = makeState();
  const checkpoint = new Checkpoint(state);
  const { result, ...figures } = await observe(() => checkpoint.read(`${prefix}-0`));
  result.assertConsumed();
  console.log(JSON.stringify(figures));
}

/** Seconds of TensorFlow's saves, the first of which makes the kernel; undefined where there is no TensorFlow. */
function saveWithTensorFlow(directory) {
  const script = fileURLToPath(new URL('peers/save_v2.py', import.meta.url));
  const args = [script, directory, String(count), String(bytes), '3'];
  for (const python of pythonCandidates(undefined)) {
    const { status, stdout, stderr, error } = spawnSync(python, args, { encoding: 'utf8' });
    if (error?.code === 'ENOENT') continue;
    if (status !== 0) throw new Error(`${python} ${script} ended with ${status}: ${stderr.slice(-500)}`);
    const answer = answerIn(stdout);
    if (answer !== null) return answer.seconds;
  }
  return undefined;
}

function parent() {
  const base = path.resolve(positionals[0] ?? '.');
  if (!existsSync(base)) throw new Error(`${base} is not there: it takes a directory of the disk to measure.`);
  const directory = mkdtempSync(path.join(base, 'tensor-checkpoint-many-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const child = (kind, prefix) => {
    const args = ['--expose-gc', fileURLToPath(import.meta.url), '--child', kind, '--prefix', prefix];
    const sizes = ['--count', String(count), '--bytes', String(bytes)];
    return JSON.parse(execFileSync(process.execPath, [...args, ...sizes], { encoding: 'utf8' }));
  };
  const rows = { 'first save': [], 'second save': [], 'third save': [], restore: [] };
  const peer = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const prefix = path.join(directory, `round${round}`);
    const saves = child('save', prefix);
    ['first save', 'second save', 'third save'].forEach((row, i) => {
      rows[row].push(saves[i]);
    });
    rows.restore.push(child('restore', prefix));
    const seconds = saveWithTensorFlow(`${prefix}-tensorflow`);
    if (seconds !== undefined) peer.push(seconds);
  }
  if (values.json) {
    console.log(JSON.stringify({ count, bytes, ...rows, 'tensorflow SaveV2': peer }, null, 2));
    return;
  }
  console.log(
    `${count} tensors of ${bytes} bytes, durable; the best of ${values.rounds} rounds, each a process of its own`,
  );
  console.log(
    '              seconds   CPU seconds   longest gap   of it before the first wait   memory beside the tensors',
  );
  for (const [row, all] of Object.entries(rows)) {
    const best = (name) => Math.min(...all.map((figures) => figures[name]));
    console.log(
      `${row.padEnd(12)} ${best('seconds').toFixed(3).padStart(8)} ${best('cpuSeconds').toFixed(3).padStart(13)} ` +
        `${best('gapMs').toFixed(1).padStart(10)} ms ${best('beginMs').toFixed(1).padStart(26)} ms ` +
        `${(best('extraBytes') / 2 ** 20).toFixed(0).padStart(20)} MiB`,
    );
  }
  console.log(
    peer.length === 0
      ? 'no Python environment here has TensorFlow: not compared with its SaveV2'
      : `TensorFlow's raw SaveV2, fsynced: ${[0, 1, 2].map((save) => Math.min(...peer.map((seconds) => seconds[save])).toFixed(3)).join(', ')} s`,
  );
}
