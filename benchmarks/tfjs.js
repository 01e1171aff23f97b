// `node benchmarks/tfjs.js [DIR] [--size 4GiB] [--variables 1000] [--rounds 3] [--model-size 1GiB] [--large-model-size
// 2.5GiB] [--saves 1000] [--only borrow,save,…] [--json]`: what a save and a restore of tfjs-node's tensors cost a process
// that trains, beside the same from host buffers and beside TensorFlow.js's own model.save(). Each measurement has a
// process of its own. Needs `node scripts/tfjs-node.mjs`.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { median } from './lib/statistics.js';
import { formatRate, formatSize, parseCount, parseSize } from './lib/units.js';

const PARTS = ['borrow', 'save', 'restore', 'model', 'large', 'loop'];
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: 'string', default: '4GiB' },
    variables: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '3' },
    'model-size': { type: 'string', default: '1GiB' },
    'large-model-size': { type: 'string', default: '2.5GiB' },
    saves: { type: 'string', default: '1000' },
    only: { type: 'string', default: PARTS.join(',') },
    json: { type: 'boolean', default: false },
  },
});
const bytes = parseSize('--size', values.size);
const count = parseCount('--variables', values.variables, 2, 100_000);
const rounds = parseCount('--rounds', values.rounds, 1);
const modelBytes = parseSize('--model-size', values['model-size']);
const largeBytes = parseSize('--large-model-size', values['large-model-size']);
const saves = parseCount('--saves', values.saves, 5);
const only = values.only.split(',');
const unknown = only.filter((part) => !PARTS.includes(part));
if (unknown.length > 0) throw new Error(`--only takes ${PARTS.join(', ')}, not ${unknown.join(', ')}`);

const base = path.resolve(positionals[0] ?? '.');
const tfjsNode = fileURLToPath(new URL('../.tfjs-node/node_modules/@tensorflow/tfjs-node/lib', import.meta.url));
if (!existsSync(tfjsNode)) throw new Error('There is no tfjs-node: run `node scripts/tfjs-node.mjs` first.');
if (!existsSync(base)) throw new Error(`${base} is not there: it takes a directory of the disk to measure.`);
const free = statfsSync(base);
if (free.bavail * free.bsize < 3 * Math.max(bytes, largeBytes)) throw new Error(`${base} has too little room.`);
const directory = mkdtempSync(path.join(base, 'tensor-checkpoint-tfjs-'));
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
process.on('SIGINT', () => process.exit(130));

const log = values.json ? () => {} : console.log;
const MiB = (value) => `${(value / 2 ** 20).toFixed(0)} MiB`;
const ms = (value) => `${value.toFixed(value < 10 ? 2 : 0)} ms`;
const report = { machine: { cpu: os.cpus()[0]?.model, cores: os.cpus().length, node: process.version } };
log(`${report.machine.cpu}, ${report.machine.cores} cores, Node ${process.version}`);

const parts = { borrow, save, restore, model, large, loop };
for (const part of PARTS) if (only.includes(part)) report[part] = parts[part]();
if (values.json) console.log(JSON.stringify(report, null, 2));

/** Runs a task in a process of its own; `mayDie` ones give their end instead of failing. */
function run(task, { mayDie = false } = {}) {
  const where = path.join(directory, task.at ?? task.task);
  mkdirSync(where, { recursive: true });
  const script = fileURLToPath(new URL('tfjs-process.js', import.meta.url));
  const argument = JSON.stringify({ ...task, directory: where });
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', script, argument], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3' },
  });
  if (status === 0) return JSON.parse(stdout.trim().split('\n').at(-1));
  const reason = /^.*(?:Error|FATAL).*$/m.exec(stderr)?.[0] ?? stderr.slice(-500);
  if (!mayDie) throw new Error(`${task.task} ended with ${signal ?? status}:\n${stderr.slice(-4000)}`);
  return { died: signal ?? `exit status ${status}`, reason };
}

function remove(name) {
  rmSync(path.join(directory, name), { recursive: true, force: true });
}

/** Forgets cached file pages, so that a restore reads from the disk. Needs root. */
function dropCaches() {
  try {
    execFileSync('sync');
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    return true;
  } catch {
    return false;
  }
}

/** The references to all tensors, whatever they hold: the same number of variables at three sizes, and one giant. */
function borrow() {
  const layouts = [
    { name: `${count} × 4 KiB`, count, bytes: count * 4096 },
    { name: `${count} × ${formatSize(bytes / 4 / count)}`, count, bytes: bytes / 4 },
    { name: `${count} × ${formatSize(bytes / count)}`, count, bytes },
    { name: `1 × ${formatSize(bytes - count * 4096)} and ${count - 1} × 4 KiB`, count, bytes, large: true },
  ];
  log('\nborrow: all references, in one turn of the event loop (median of 20, and the longest)');
  return layouts.map(({ name, ...layout }) => {
    const { path, reason, samples } = run({ task: 'borrow', ...layout, rounds: 20 });
    log(
      `  ${name.padEnd(40)} ${ms(median(samples)).padStart(9)} ${ms(Math.max(...samples)).padStart(9)}   (${reason ?? path})`,
    );
    return { name, path, samples };
  });
}

/** In turns, so that both see the same disk. */
function save() {
  const ours = [];
  const host = [];
  for (let round = 0; round < rounds; round++) {
    host.push(...run({ task: 'saveHost', at: 'save', count, bytes, rounds: 1 }).rounds);
    remove('save');
    ours.push(...run({ task: 'save', count, bytes, rounds: 1 }).rounds);
    remove('save');
  }
  const line = (name, all) => {
    const worst = (of) => Math.max(...all.map(of));
    const from = (of) => median(all.map(of));
    log(
      `  ${name.padEnd(18)} ${formatRate(from((r) => r.rate)).padStart(10)}   longest gap ${ms(worst((r) => r.gapMs)).padStart(7)}` +
        ` (longest step ${ms(worst((r) => r.training.longestMs))}, without a save ${ms(worst((r) => r.quiet.longestMs))})` +
        `   begin ${ms(worst((r) => r.beginMs))}   memory +${MiB(worst((r) => r.extraBytes))}   ${all[0].training.steps} steps`,
    );
  };
  log(`\nsave of ${formatSize(bytes)} in ${count} tensors while training steps run, ${rounds} rounds in turns`);
  line('tfjs-node', ours);
  line('host buffers', host);
  const ratio = median(ours.map(({ rate }, i) => rate / host[i].rate));
  log(`  tfjs-node / host buffers, pair by pair: ${ratio.toFixed(3)}`);
  return { ours, host, ratio };
}

function restore() {
  const saved = run({ task: 'save', at: 'restore', count, bytes, rounds: 1 });
  const ours = [];
  const batched = [];
  const host = [];
  let cold = true;
  for (let round = 0; round < rounds; round++) {
    const layout = { at: 'restore', count, bytes, prefix: saved.prefix };
    const turns = [
      () => host.push(run({ task: 'restoreHost', ...layout })),
      () => ours.push(run({ task: 'restore', ...layout })),
      () => batched.push(run({ task: 'restore', ...layout, options: { atomic: false } })),
    ];
    for (const turn of round % 2 ? turns.toReversed() : turns) {
      cold = dropCaches() && cold;
      turn();
    }
  }
  remove('restore');
  const line = (name, all) =>
    log(
      `  ${name.padEnd(36)} ${formatRate(median(all.map((r) => r.bytes / r.seconds))).padStart(10)}   peak memory +${MiB(
        Math.max(...all.map((r) => r.extraBytes)),
      )}   longest gap ${ms(Math.max(...all.map((r) => r.gapMs)))}`,
    );
  log(
    `\nrestore of ${formatSize(bytes)}${cold ? '' : ' (caches not dropped)'}; the tensors alone are ${MiB(saved.bytes)}`,
  );
  line('plain, into fresh host memory', host);
  line('tfjs-node (verified, then replaced)', ours);
  line('tfjs-node, atomic: false', batched);
  const ratio = median(ours.map(({ seconds }, i) => host[i].seconds / seconds));
  log(`  tfjs-node / plain, pair by pair: ${ratio.toFixed(3)}`);
  return { ours, batched, host, ratio };
}

function describe(name, result) {
  if (result.died) {
    log(`  ${name.padEnd(28)} died (${result.died}): ${result.reason}`);
    return;
  }
  log(
    `  ${name.padEnd(28)} ${result.seconds.toFixed(2).padStart(6)} s   longest gap ${ms(result.gapMs).padStart(8)}   memory +${MiB(result.extraBytes)}` +
      (result.restoreSeconds === undefined
        ? ''
        : `   restored in ${result.restoreSeconds.toFixed(2)} s, ${result.same ? 'the same' : 'DIFFERENT'}`),
  );
}

function compare(size, mayDie) {
  log(`\na model of ${formatSize(size)}`);
  const theirs = run({ task: 'modelSave', bytes: size }, { mayDie });
  describe("model.save('file://')", theirs);
  const left = mayDie ? listLeft('modelSave') : undefined;
  if (left) log(`    left on the disk: ${left}`);
  remove('modelSave');
  const ours = run({ task: 'modelCheckpoint', bytes: size });
  describe('checkpoint.write()', ours);
  remove('modelCheckpoint');
  return { theirs, left, ours };
}

function listLeft(name) {
  return execFileSync('ls', ['-l', path.join(directory, name)], { encoding: 'utf8' })
    .split('\n')
    .slice(1)
    .filter(Boolean)
    .map((row) => row.split(/\s+/))
    .map((columns) => `${columns.at(-1)} ${columns[4]} bytes`)
    .join(', ');
}

function model() {
  return compare(modelBytes, false);
}

/** From 2 GiB on, TensorFlow.js's own save ends the process. */
function large() {
  return compare(largeBytes, true);
}

function loop() {
  const { samples } = run({ task: 'loop', count: 40, bytes: 40 * 64 * 64 * 4, saves });
  remove('loop');
  log(`\n${saves} saves of 640 KiB`);
  for (const { saves, tensors, resident } of samples) {
    log(`  after ${String(saves).padStart(5)}: ${tensors} tensors, ${MiB(resident)} resident`);
  }
  return { samples };
}
