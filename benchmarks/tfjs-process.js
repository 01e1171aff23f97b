// One measurement of benchmarks/tfjs.js in a process of its own, over the real tfjs-node. Argument: a JSON object with
// `task` and what the task needs. Prints one line of JSON.
import { readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Checkpoint, CheckpointManager, HostTensor } from 'tensor-checkpoint';
import { tfjs } from 'tensor-checkpoint/tfjs';
import { haveMemoryAtHand } from './lib/memory-at-hand.js';
import { observe } from './lib/observe.js';

const task = JSON.parse(process.argv[2]);
const tf = createRequire(fileURLToPath(new URL('../.tfjs-node/', import.meta.url)))('@tensorflow/tfjs-node');
const adapter = tfjs(tf);
const ELEMENT = 4;

const tasks = { borrow, save, saveHost, restore, restoreHost, modelSave, modelCheckpoint, loop };
console.log(JSON.stringify(await tasks[task.task]()));

/** Elements of each of `count` tensors that make about `bytes`: all alike, or one large among small ones. */
function sizes({ count, bytes, large }) {
  if (!large) return Array.from({ length: count }, () => Math.floor(bytes / count / ELEMENT));
  const small = 1024;
  return [Math.floor(bytes / ELEMENT) - small * (count - 1), ...Array.from({ length: count - 1 }, () => small)];
}

/** Variables that an op has filled, as those of a model that trains. */
function makeVariables(layout) {
  return sizes(layout).map((elements, i) => {
    const value = tf.linspace(i, i + 1, elements);
    const variable = tf.variable(value);
    value.dispose();
    return variable;
  });
}

function makeHostTensors(layout, fill) {
  return sizes(layout).map((elements, i) => {
    const tensor = HostTensor.allocate({ dtype: 'float32', shape: [elements] });
    if (fill) for (let at = 0; at < elements; at++) tensor.data[at] = i + at / elements;
    return tensor;
  });
}

/** Training steps, one a turn of the event loop, until `end` is called. A small model: what is late is not its fault. */
function train() {
  const weights = tf.variable(tf.fill([64, 64], 0.01));
  const inputs = tf.fill([32, 64], 0.5);
  const optimizer = tf.train.adam(0.001);
  let running = true;
  let steps = 0;
  let longestMs = 0;
  const done = (async () => {
    while (running) {
      const start = performance.now();
      optimizer.minimize(() => tf.tidy(() => inputs.matMul(weights).square().mean()));
      longestMs = Math.max(longestMs, performance.now() - start);
      steps++;
      await new Promise(setImmediate);
    }
  })();
  return {
    async end() {
      running = false;
      await done;
      return { steps, longestMs };
    },
  };
}

/** What taking references to all tensors costs, apart from the save that it begins. */
async function borrow() {
  const variables = makeVariables(task);
  const samples = [];
  for (let round = 0; round < task.rounds; round++) {
    const values = variables.map((variable) => adapter.adapt(variable).values()[0]);
    const start = performance.now();
    const snapshots = values.map((value) => value.capture());
    for (const snapshot of snapshots) void snapshot.source;
    samples.push(performance.now() - start);
    for (const snapshot of snapshots) snapshot.release();
  }
  return { path: adapter.path, reason: adapter.pathReason, samples };
}

async function saveRounds(objects, bytes) {
  const checkpoint = new Checkpoint(objects, { adapters: [adapter] });
  const manager = new CheckpointManager(checkpoint, { directory: task.directory, maxToKeep: null });
  const rounds = [];
  // The first save also loads what it runs: not counted.
  await manager.save();
  for (let round = 0; round < task.rounds; round++) {
    const quiet = train();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const before = await quiet.end();
    const training = train();
    await new Promise((resolve) => setTimeout(resolve, 50));
    // Until the commit: nothing is deleted after it.
    const { result, stallsMs, ...figures } = await observe(() => manager.save());
    rounds.push({ ...figures, training: await training.end(), quiet: before, rate: bytes / figures.seconds });
  }
  const prefix = manager.latestCheckpoint;
  await manager.close();
  return { rounds, prefix, bytes, path: adapter.path };
}

async function save() {
  const variables = makeVariables(task);
  const bytes = variables.reduce((sum, variable) => sum + variable.size * ELEMENT, 0);
  return { ...(await saveRounds({ tensors: variables }, bytes)), tensors: tf.memory().numTensors };
}

async function saveHost() {
  const tensors = makeHostTensors(task, true);
  return saveRounds(
    { tensors },
    tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0),
  );
}

/** Into variables: their old memory is there, and the restore's is new. */
async function restore() {
  const variables = makeVariables(task);
  const bytes = variables.reduce((sum, variable) => sum + variable.size * ELEMENT, 0);
  const checkpoint = new Checkpoint({ tensors: variables }, { adapters: [adapter] });
  haveMemoryAtHand(bytes);
  const { result, stallsMs, ...figures } = await observe(() => checkpoint.read(task.prefix, task.options));
  result.assertExistingObjectsMatched();
  return { ...figures, bytes, path: adapter.path };
}

/** The plain restore into memory of the engine's that nothing has touched yet, as the memory of new tensors is. */
async function restoreHost() {
  const tensors = makeHostTensors(task, false);
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
  haveMemoryAtHand(bytes);
  const { result, stallsMs, ...figures } = await observe(() => new Checkpoint({ tensors }).read(task.prefix));
  result.assertExistingObjectsMatched();
  return { ...figures, bytes };
}

function makeModel() {
  const units = 4096;
  const layers = Math.max(1, Math.round(task.bytes / (units * units * ELEMENT)));
  const model = tf.sequential();
  for (let i = 0; i < layers; i++) {
    model.add(tf.layers.dense({ units, inputShape: [units], useBias: false, kernelInitializer: 'zeros' }));
  }
  for (const layer of model.layers) {
    const kernel = tf.linspace(-1, 1, units * units).reshape([units, units]);
    layer.setWeights([kernel]);
    kernel.dispose();
  }
  return { model, bytes: layers * units * units * ELEMENT };
}

/** TensorFlow.js's own way. */
async function modelSave() {
  const { model, bytes } = makeModel();
  const { result, stallsMs, ...figures } = await observe(() => model.save(`file://${task.directory}`));
  return { ...figures, bytes, files: filesIn(task.directory) };
}

async function modelCheckpoint() {
  const { model, bytes } = makeModel();
  const checkpoint = new Checkpoint({ model }, { adapters: [adapter] });
  const { result, stallsMs, ...figures } = await observe(() => checkpoint.write(path.join(task.directory, 'ckpt')));
  const kernels = () => model.layers.map((layer) => layer.getWeights()[0]);
  const expected = kernels().map((kernel) => kernel.slice([4000, 4000], [8, 8]).dataSync());
  model.setWeights(model.getWeights().map((weight) => tf.zerosLike(weight)));
  const read = await observe(() => checkpoint.read(result));
  const same = kernels().every((kernel, i) => {
    const found = kernel.slice([4000, 4000], [8, 8]).dataSync();
    return found.every((value, at) => value === expected[i][at]);
  });
  return { ...figures, bytes, files: filesIn(task.directory), restoreSeconds: read.seconds, same };
}

function filesIn(directory) {
  return readdirSync(directory).map((name) => ({ name, bytes: statSync(path.join(directory, name)).size }));
}

async function loop() {
  const variables = makeVariables(task);
  const checkpoint = new Checkpoint({ tensors: variables }, { adapters: [adapter] });
  const manager = new CheckpointManager(checkpoint, {
    directory: task.directory,
    maxToKeep: 2,
    write: { durable: false },
  });
  const samples = [];
  for (let saves = 0; saves <= task.saves; saves++) {
    for (const variable of variables) {
      const next = variable.add(1);
      variable.assign(next);
      next.dispose();
    }
    await manager.save();
    if (saves % Math.ceil(task.saves / 5) === 0) {
      globalThis.gc();
      samples.push({ saves, tensors: tf.memory().numTensors, resident: process.memoryUsage().rss });
    }
  }
  await manager.close();
  return { samples };
}
