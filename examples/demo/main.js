// npm run demo: a training run is killed twice in the middle of an epoch and resumes each time from its newest
// checkpoint; in the end its weights equal, to the bit, those of a run that was never killed.
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bad, bold, dim, good, lossPlot, progress } from './terminal.js';

const BATCHES_PER_EPOCH = 30;
const PLAN = { seed: 2026, epochs: 5, batchSize: 50, saveEvery: 12 };
const STEPS = PLAN.epochs * BATCHES_PER_EPOCH;
/** Steps after which the process is killed. */
const KILLS = [47, 105];

/**
 * @typedef {object} Outcome
 * @property {number} accuracy
 * @property {string} digest sha256 of the weights
 */

/**
 * Runs train.js until it ends or is killed.
 *
 * @param {string} directory
 * @param {{ onMessage: (message: any) => void, killAfter?: number }} options
 * @returns {Promise<Outcome | null>} null if it was killed
 */
function train(directory, { onMessage, killAfter }) {
  const script = fileURLToPath(new URL('./train.js', import.meta.url));
  const child = fork(script, [JSON.stringify({ ...PLAN, directory })], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  children.add(child);
  let errors = '';
  child.stderr?.on('data', (text) => {
    errors += text;
  });
  return new Promise((resolve, reject) => {
    /** @type {Outcome | null} */
    let outcome = null;
    let killed = false;
    child.on('message', (/** @type {any} */ message) => {
      // Messages that were under way when the process was killed still count: it did what they say.
      onMessage(message);
      if (message.type === 'finished') outcome = message;
      if (message.type === 'step' && message.step === killAfter) killed = child.kill('SIGKILL');
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      children.delete(child);
      if (killed || (code === 0 && outcome !== null)) resolve(outcome);
      else reject(new Error(`the training process ended with ${signal ?? `exit code ${code}`}\n${errors}`));
    });
  });
}

/** @param {number} step */
const place = (step) =>
  `epoch ${Math.floor((step - 1) / BATCHES_PER_EPOCH) + 1}, batch ${((step - 1) % BATCHES_PER_EPOCH) + 1}`;
const ms = (/** @type {number} */ seconds) => `${(seconds * 1000).toFixed(1)} ms`;
const say = (text = '') => {
  progress('');
  console.log(text);
};

const children = /** @type {Set<import('node:child_process').ChildProcess>} */ (new Set());
const root = mkdtempSync(join(tmpdir(), 'tensor-checkpoint-demo-'));
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(root, { recursive: true, force: true, maxRetries: 5 });
});
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => process.exit(1));

say(bold('A training run that is killed twice'));
say(`Handwritten digits, a convolutional network, Adam: ${STEPS} steps, a checkpoint every ${PLAN.saveEvery}.`);
say(dim('The same run, never killed, trains beside it in another process. A state this small is as fast as fsync is.'));

const began = Date.now();
const expected = /** @type {number[]} */ ([]);
const undisturbed = train(join(root, 'undisturbed'), {
  onMessage(message) {
    if (message.type === 'step') expected[message.step] = message.loss;
  },
});
// It is awaited last; a failure is reported then.
undisturbed.catch(() => {});

const losses = /** @type {number[]} */ ([]);
let repeated = 0;
let different = 0;
/** @type {Outcome | null} */
let outcome = null;

for (const killAfter of [...KILLS, undefined]) {
  let reached = 0;
  outcome = await train(join(root, 'killed'), {
    killAfter,
    onMessage(message) {
      if (message.type === 'started') {
        const from = message.resumed === null ? 'starts' : `resumes from ${basename(message.resumed)}`;
        say(`\n${bold(`The process ${from}`)}: next is ${place(message.step + 1)}`);
      } else if (message.type === 'step') {
        reached = message.step;
        if (losses[reached] !== undefined) {
          repeated++;
          if (losses[reached] !== message.loss) different++;
        }
        losses[reached] = message.loss;
        progress(`  step ${reached}/${STEPS}  ${place(reached)}  loss ${message.loss.toFixed(4)}`);
      } else if (message.type === 'saved') {
        const { path, bytes, tensors, seconds, capturedSeconds, bytesPerSecond } = message;
        const size = `${tensors} tensors, ${(bytes / 1e6).toFixed(2)} MB`;
        const speed = `durable in ${ms(seconds)} (${(bytesPerSecond / 1e9).toFixed(3)} GB/s)`;
        say(`  ${basename(path).padEnd(9)} ${size}, ${speed}, training waited ${ms(capturedSeconds)}`);
      }
    },
  });
  if (killAfter !== undefined) say(bad(`  SIGKILL after step ${reached} (${place(reached)})`));
}

const reference = await undisturbed;
const stray = losses.filter((loss, step) => loss !== expected[step]).length;

say(`\n${bold('Loss')}`);
say(lossPlot(losses.slice(1), KILLS));
say();
say(`Steps trained again after the kills: ${repeated}, with another loss than before: ${different}`);
say(`Steps whose loss differs from the undisturbed run's: ${stray} of ${STEPS}`);
say(`Held-out digits read correctly: ${((outcome?.accuracy ?? 0) * 100).toFixed(1)} %`);
say(`Weights of the run that was killed twice:  sha256 ${outcome?.digest}`);
say(`Weights of the run that was never killed:  sha256 ${reference?.digest}`);

const equal = outcome !== null && outcome.digest === reference?.digest && stray === 0 && different === 0;
say(equal ? good('Equal, to the bit.') : bad('NOT EQUAL.'));
say(dim(`${((Date.now() - began) / 1000).toFixed(0)} seconds`));
process.exitCode = equal ? 0 : 1;
