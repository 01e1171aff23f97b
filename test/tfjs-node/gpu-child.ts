// tfjs-node on the stand-in GPU, as the environment describes it: trains a little, saves, restores, and tells what came of
// it. Arguments: directory, path of the plugin.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { tfjs } from '../../src/tfjs/index.ts';
import { loadTfjsNode } from '../support/tfjs-node-build.ts';

const [directory, plugin] = (isMainThread ? process.argv.slice(2) : workerData) as [string, string];
// Once a process: a worker's tfjs-node has the same TensorFlow.
if (isMainThread) createRequire(import.meta.url)(plugin);
const tf = loadTfjsNode();
const adapter = tfjs(tf);

const variables = Array.from({ length: 12 }, (_, i) => tf.variable(tf.fill([5000 + i], i)));
const count = tf.variable(tf.scalar(3, 'int32'));
const checkpoint = new Checkpoint({ variables, count }, { adapters: [adapter] });

/** Every other variable is the result of work on the device, which has more to do than any one copy. */
function step(): void {
  for (let round = 0; round < 5; round++) {
    for (const [i, variable] of variables.entries()) {
      if (i % 2 === 0) continue;
      const next = tf.relu(variable);
      variable.assign(next);
      next.dispose();
    }
  }
}

async function main(): Promise<void> {
  const path = join(directory, isMainThread ? 'main' : 'worker');
  step();
  const saved = checkpoint.write(path);
  for (const variable of variables) variable.assign(tf.fill(variable.shape, 99));
  await saved;
  // Memory that TensorFlow has back, but which work under way still writes to: what is restored must not come before it.
  for (let round = 0; round < 5; round++) {
    const results = variables.map((variable) => tf.relu(variable));
    tf.dispose(results);
  }
  (await checkpoint.read(path)).assertConsumed();
  step();
  const right = variables.every((variable, i) => variable.dataSync().every((value) => value === i));
  const { path: tensorPath, pathReason } = adapter;
  const result = { tensorPath, pathReason, right: right && count.dataSync()[0] === 3 };
  if (!isMainThread) return;
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (process.env.GPU_CHILD_WORKER !== undefined) {
    const worker = new Worker(new URL(import.meta.url), { workerData: [directory, plugin] });
    await new Promise((resolve, reject) => {
      worker.once('exit', (code) => (code === 0 ? resolve(code) : reject(new Error(`the worker ended with ${code}`))));
      worker.once('error', reject);
    });
    step();
    await checkpoint.write(path);
  }
}

await main();
