/**
 * A process that uses the real tfjs-node. Arguments: what to do, and a directory. It prints one line of JSON at its end.
 *
 * - `straight`, `first`, `second`: model.fit() with Adam, 6 epochs at once, or 3 with an asynchronous save behind which
 *   training goes on, and 3 after a restore.
 * - `loop`: 500 saves; tensors and resident memory after 200 and after all.
 * - `workers`: two worker threads and this one train and save at the same time.
 * - `terminate-MS`: a worker is terminated while it saves; then this thread saves.
 * - `exit-MS`: process.exit() while a save is under way.
 * - `worker-only`: only worker threads use tensors, one after the other.
 * - `copies`: two copies of the addon in the process.
 * - `path`: which path is taken, a save and a restore.
 */
import { createHash } from 'node:crypto';
import { cpSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import type { Sequential, Tensor, Variable } from '@tensorflow/tfjs';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { CheckpointManager } from '../../src/manager/index.ts';
import type { NativeAddon } from '../../src/native/contract.ts';
import { loadAddon } from '../../src/native/loader.ts';
import { tfjs } from '../../src/tfjs/index.ts';
import { loadTfjsNode } from '../support/tfjs-node-build.ts';

const [mode, directory] = (isMainThread ? process.argv.slice(2) : workerData) as [string, string];
const say = (result: object) => console.log(JSON.stringify(result));
const tf = loadTfjsNode();

function createModel(): Sequential {
  const seeded = (seed: number) => tf.initializers.glorotUniform({ seed });
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ inputShape: [6], units: 8, activation: 'tanh', kernelInitializer: seeded(1) }),
      tf.layers.batchNormalization(),
      tf.layers.dense({ units: 1, kernelInitializer: seeded(3) }),
    ],
  });
  model.compile({ optimizer: tf.train.adam(0.01), loss: 'meanSquaredError' });
  return model;
}

async function trainEpochs(model: Sequential, initialEpoch: number, epochs: number): Promise<number[]> {
  const x = tf.randomUniform([64, 6], -1, 1, 'float32', 5);
  const y = tf.tidy(() => x.square().sum(1, true));
  const history = await model.fit(x, y, { initialEpoch, epochs, batchSize: 16, shuffle: false, verbose: 0 });
  tf.dispose([x, y]);
  return history.history.loss as number[];
}

function digest(model: Sequential): string {
  const hash = createHash('sha256');
  for (const weight of model.getWeights()) hash.update(Buffer.from(weight.dataSync().slice().buffer));
  return hash.digest('hex');
}

async function resume(): Promise<void> {
  // Names are counted per process: after this, the model's are others than in the process before.
  if (mode === 'second') createModel().dispose();
  const model = createModel();
  const checkpoint = new Checkpoint({ model }, { adapters: [tfjs(tf)] });
  let losses: number[] = [];
  if (mode === 'straight') {
    losses = (await trainEpochs(model, 0, 6)).slice(3);
  } else if (mode === 'first') {
    await trainEpochs(model, 0, 3);
    await checkpoint.write(join(directory, 'ckpt'), { enableAsync: true });
    await trainEpochs(model, 3, 5);
    await checkpoint.sync();
  } else {
    (await checkpoint.read(join(directory, 'ckpt'))).assertConsumed();
    losses = await trainEpochs(model, 3, 6);
  }
  say({ losses, weights: digest(model) });
}

async function loop(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const variables = Array.from({ length: 40 }, () => tf.variable(tf.zeros([64, 64])));
  const checkpoint = new Checkpoint({ variables }, { adapters: [tfjs(tf)] });
  const manager = new CheckpointManager(checkpoint, { directory, maxToKeep: 2, write: { durable: false } });
  const saves = async (count: number) => {
    for (let i = 0; i < count; i++) {
      for (const variable of variables) {
        const next = variable.add(1);
        variable.assign(next);
        next.dispose();
      }
      await manager.save();
    }
    gc();
    return { tensors: tf.memory().numTensors, resident: process.memoryUsage().rss };
  };
  const before = await saves(200);
  const after = await saves(300);
  await manager.close();
  say({ before, after });
}

/** Ten steps, each saved without waiting for the save before; then every checkpoint that is left must be one step's. */
async function trainAndSave(name: string): Promise<boolean> {
  const variables = Array.from({ length: 30 }, (_, i) => tf.variable(tf.fill([100 + i], 0)));
  const checkpoint = new Checkpoint({ variables }, { adapters: [tfjs(tf)] });
  const manager = new CheckpointManager(checkpoint, { directory: join(directory, name), maxToKeep: 3 });
  for (let step = 1; step <= 10; step++) {
    for (const variable of variables) {
      const next = variable.add(1);
      variable.assign(next);
      next.dispose();
    }
    await manager.save({ enableAsync: true });
  }
  await manager.sync();
  let consistent = manager.checkpoints.length === 3;
  for (const [i, path] of manager.checkpoints.entries()) {
    (await checkpoint.restore(path)).assertConsumed();
    consistent &&= variables.every((variable) => variable.dataSync().every((value) => value === 8 + i));
  }
  await manager.close();
  return consistent;
}

function startWorker(task: string): Worker {
  return new Worker(new URL(import.meta.url), { workerData: [task, directory] });
}

function answer(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

const exit = (worker: Worker) => new Promise((resolve) => worker.once('exit', resolve));

function largeCheckpoint(): Checkpoint {
  const variables = Array.from({ length: 8 }, (_, i) => tf.variable(tf.fill([2 ** 20], i)));
  return new Checkpoint({ variables }, { adapters: [tfjs(tf)] });
}

async function workers(): Promise<void> {
  const [first, second] = [startWorker('train-first'), startWorker('train-second')];
  const ends = [exit(first), exit(second)];
  const consistent = await Promise.all([trainAndSave('main'), answer(first), answer(second)]);
  await Promise.all(ends);
  say({ consistent });
}

async function workerOnly(): Promise<void> {
  const consistent = [];
  for (const name of ['one', 'two', 'three']) {
    const worker = startWorker(`train-${name}`);
    const end = exit(worker);
    consistent.push(await answer(worker));
    await end;
  }
  say({ consistent });
}

async function terminate(delay: number): Promise<void> {
  const worker = startWorker('large');
  await answer(worker);
  await new Promise((resolve) => setTimeout(resolve, delay));
  await worker.terminate();
  say({ consistent: [await trainAndSave('main')] });
}

/** A second copy of the addon has ops of its own: each copy's kernels know the borrows of that copy alone. */
function copies(): void {
  const release = join(import.meta.dirname, '..', 'Release');
  const file = readdirSync(release).find((name) => name.endsWith('.node'))!;
  const copied = join(directory, 'copy.node');
  cpSync(join(release, file), copied);
  const addons = [loadAddon(), createRequire(import.meta.url)(copied) as NativeAddon];
  const tensor = tf.tidy(() => tf.ones([3]).add(1));
  const backend = tf.backend() as unknown as {
    binding: { TF_ATTR_INT: number; TF_ATTR_TYPE: number };
    executeMultipleOutputs(name: string, attributes: object[], inputs: Tensor[], outputs: number): Tensor[];
  };
  const attributes = [
    { name: 'N', type: backend.binding.TF_ATTR_INT, value: 1 },
    { name: 'T', type: backend.binding.TF_ATTR_TYPE, value: 1 },
  ];
  const found = addons.map((addon) => addon.findTensorFlow());
  const borrowed = addons.map((addon, i) => {
    const runtime = found[i]!;
    if ('error' in runtime) throw new Error(runtime.error.message);
    const lent = addon.borrowTensors(() => {
      backend.executeMultipleOutputs(runtime.borrowOp, attributes, [tensor], 0);
    });
    if ('error' in lent) throw new Error(lent.error.message);
    return lent;
  });
  const ops = new Set(found.map((runtime) => ('error' in runtime ? '' : runtime.borrowOp)));
  const addresses = new Set(borrowed.map(({ addresses }) => addresses[0]));
  for (const [i, { id }] of borrowed.entries()) addons[i]!.releaseBorrow(id);
  let outside = '';
  try {
    backend.executeMultipleOutputs([...ops][0]!, attributes, [tensor], 0);
  } catch (error) {
    outside = (error as Error).message;
  }
  say({ ops: ops.size, addresses: addresses.size, outside });
}

async function path(): Promise<void> {
  const adapter = tfjs(tf);
  const weights = { a: tf.variable(tf.fill([4], 2)), b: tf.variable(tf.tensor(['x'])) } as Record<string, Variable>;
  const checkpoint = new Checkpoint({ weights }, { adapters: [adapter] });
  const manager = new CheckpointManager(checkpoint, { directory, maxToKeep: 1 });
  let tensorPath: string | undefined;
  manager.on('saved', (event) => {
    tensorPath = event.tensorPath;
  });
  const saved = manager.save();
  weights.a!.assign(tf.fill([4], 3));
  (await checkpoint.restore((await saved)!)).assertConsumed();
  await manager.close();
  const { path, pathReason } = adapter;
  say({ path, pathReason, tensorPath, values: Array.from(weights.a!.dataSync()), text: weights.b!.dataSync() });
}

async function main(): Promise<void> {
  if (!isMainThread) {
    if (mode.startsWith('train-')) {
      parentPort!.postMessage(await trainAndSave(mode));
    } else {
      const checkpoint = largeCheckpoint();
      const done = checkpoint.write(join(directory, 'large'));
      parentPort!.postMessage('started');
      await done;
    }
  } else if (mode === 'straight' || mode === 'first' || mode === 'second') await resume();
  else if (mode === 'loop') await loop();
  else if (mode === 'workers') await workers();
  else if (mode === 'worker-only') await workerOnly();
  else if (mode.startsWith('terminate-')) await terminate(Number(mode.slice(10)));
  else if (mode.startsWith('exit-')) {
    void largeCheckpoint().write(join(directory, 'large'));
    setTimeout(() => process.exit(7), Number(mode.slice(5)));
  } else if (mode === 'copies') copies();
  else if (mode === 'path') await path();
}

await main();
