// The training process: it resumes from the newest checkpoint, if there is one, and trains to the end. It may be killed
// at any moment. What it does is told to the parent process by messages.
import * as tf from '@tensorflow/tfjs';
import { Checkpoint, CheckpointManager, Counter } from 'tensor-checkpoint';
import { tfjs } from 'tensor-checkpoint/tfjs';
import { batchOf, loadDigits } from './data.js';
import { accuracy, createModel, digest, trainStep } from './model.js';

/** @typedef {{ directory: string, seed: number, epochs: number, batchSize: number, saveEvery: number }} Plan */

/** Where the run is in its data; saved with the model. */
class Cursor {
  epoch = 0;
  batch = 0;

  /** @param {number} seed of all that is random */
  constructor(seed) {
    this.seed = seed;
  }

  serialize() {
    return JSON.stringify({ seed: this.seed, epoch: this.epoch, batch: this.batch });
  }

  /** @param {string} text */
  deserialize(text) {
    Object.assign(this, JSON.parse(text));
  }
}

const plan = /** @type {Plan} */ (JSON.parse(process.argv[2]));
const tell = (/** @type {object} */ message) => process.send?.(message);

await tf.setBackend('cpu');
const { training, heldOut } = loadDigits();
const batches = Math.floor(training.count / plan.batchSize);

const model = createModel(plan.seed);
const step = new Counter(0);
const cursor = new Cursor(plan.seed);
const checkpoint = new Checkpoint({ model, step, cursor }, { adapters: [tfjs(tf)] });
const manager = new CheckpointManager(checkpoint, { directory: plan.directory, maxToKeep: 3 });
manager.on('saved', (saved) => tell({ type: 'saved', ...saved }));

const resumed = await manager.restoreOrInitialize();
tell({ type: 'started', resumed, step: step.value, epoch: cursor.epoch, batch: cursor.batch });

while (cursor.epoch < plan.epochs) {
  const { seed, epoch, batch } = cursor;
  const loss = await trainStep(model, batchOf(training, { seed, epoch, batch, size: plan.batchSize }));
  step.increment();
  cursor.batch = batch + 1 < batches ? batch + 1 : 0;
  if (cursor.batch === 0) cursor.epoch++;
  tell({ type: 'step', step: step.value, epoch, batch, loss });
  // Resolves once the state is captured; the disk is written while the next step is computed.
  if (step.value % plan.saveEvery === 0) await manager.save({ checkpointNumber: step, enableAsync: true });
  await new Promise(setImmediate);
}

await manager.close();
tell({ type: 'finished', accuracy: accuracy(model, heldOut), digest: digest(model) });
process.disconnect?.();
