// @ts-check
// A training loop on every core, and saves beside it. Phases alternate: undisturbed, saving, saving, undisturbed, …
import { readFileSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { CheckpointManager } from 'tensor-checkpoint';
import { reply } from '../lib/reply.js';
import { makeState } from '../lib/state.js';

const SIDE = 112;
const STOP = -1;

if (isMainThread) await main();
else train();

async function main() {
  const order = JSON.parse(process.argv[2] ?? '{}');
  const { checkpoint } = await makeState(order, { fill: true });
  const manager = new CheckpointManager(checkpoint, { directory: order.directory, maxToKeep: 1, write: order.write });
  await manager.save();

  const phase = new Int32Array(new SharedArrayBuffer(4));
  const workers = Array.from(
    { length: order.threads },
    () => new Worker(new URL(import.meta.url), { workerData: phase }),
  );
  const enter = (/** @type {number} */ number) => {
    // Every worker answers with what it did in the phase before, at the end of the step that it is in.
    const answers = workers.map((worker) => new Promise((resolve) => worker.once('message', resolve)));
    Atomics.store(phase, 0, number);
    return Promise.all(answers);
  };
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('online', resolve))));
  await new Promise((resolve) => setTimeout(resolve, 1500)); // Compiled, and at full clock.
  await enter(1);

  const phases = [];
  for (let index = 0; index < order.phases; index++) {
    const saving = [false, true, true, false][index % 4] ?? false;
    const cpu = process.cpuUsage();
    const start = performance.now();
    const until = start + order.seconds * 1000;
    let saves = 0;
    if (saving) {
      while (performance.now() < until) {
        await manager.save();
        saves++;
      }
    } else {
      await new Promise((resolve) => setTimeout(resolve, order.seconds * 1000));
    }
    const wall = (performance.now() - start) / 1000;
    const used = process.cpuUsage(cpu);
    const answers = await enter(index + 2);
    const trained = answers.reduce((sum, answer) => sum + answer.cpuSeconds, 0);
    phases.push({
      saving,
      saves,
      seconds: wall,
      steps: answers.flatMap((answer) => answer.steps),
      ownCpuSeconds: Math.max(0, (used.user + used.system) / 1e6 - trained),
    });
  }
  await enter(STOP);
  await manager.close();
  reply({ phases });
  await Promise.all(workers.map((worker) => worker.terminate()));
}

/** Steps of a few milliseconds each: a product of matrices, and an update of some memory. */
function train() {
  const phase = /** @type {Int32Array} */ (workerData);
  const [a, b, c] = [0, 1, 2].map((seed) =>
    Float32Array.from({ length: SIDE * SIDE }, (_, index) => Math.sin(index + seed)),
  );
  const weights = new Float32Array(2 ** 18);
  const gradient = weights.map((_, index) => Math.cos(index));
  if (!a || !b || !c) throw new Error('no matrices');
  let known = Atomics.load(phase, 0);
  /** @type {number[]} */
  let steps = [];
  let cpu = cpuSeconds();
  for (;;) {
    const start = performance.now();
    multiply(a, b, c);
    for (let index = 0; index < weights.length; index++)
      weights[index] = /** @type {number} */ (weights[index]) + 1e-6 * /** @type {number} */ (gradient[index]);
    steps.push(performance.now() - start);
    const now = Atomics.load(phase, 0);
    if (now === known) continue;
    const used = cpuSeconds();
    parentPort?.postMessage({ steps, cpuSeconds: used - cpu });
    if (now === STOP) return;
    [known, steps, cpu] = [now, [], used];
  }
}

/** @param {Float32Array} a @param {Float32Array} b @param {Float32Array} c */
function multiply(a, b, c) {
  for (let row = 0; row < SIDE; row++) {
    for (let column = 0; column < SIDE; column++) {
      let sum = 0;
      for (let index = 0; index < SIDE; index++) {
        sum += /** @type {number} */ (a[row * SIDE + index]) * /** @type {number} */ (b[index * SIDE + column]);
      }
      c[row * SIDE + column] = sum;
    }
  }
}

/** CPU time of this thread alone. */
function cpuSeconds() {
  return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e9;
}
