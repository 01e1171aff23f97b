/**
 * A training process of resume.test.ts. Arguments: what to do, and a directory. For each optimizer it prints a line of
 * JSON: { optimizer, losses, weights }, the weights as a digest of their bits.
 *
 * - `straight`: 60 steps; the losses of the last 30.
 * - `first`: 30 steps, then a checkpoint. An asynchronous save with training that goes on behind it.
 * - `second`: restores and trains the 30 that are left.
 * - `approximate`: as `second`, but with Adam's beta powers as TensorFlow.js's own setWeights() sets them.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { Checkpoint, Counter } from '../../src/checkpoint/index.ts';
import { tfjs } from '../../src/tfjs/index.ts';

const optimizers: Record<string, () => tf.Optimizer> = {
  sgd: () => tf.train.sgd(0.05),
  momentum: () => tf.train.momentum(0.02, 0.9, true),
  adam: () => tf.train.adam(0.01),
  adamax: () => tf.train.adamax(0.01),
  rmsprop: () => tf.train.rmsprop(0.005, 0.9, 0.5),
  adagrad: () => tf.train.adagrad(0.05),
  adadelta: () => tf.train.adadelta(0.1),
};

const [mode, directory] = process.argv.slice(2) as [string, string];

function createModel(optimizer: tf.Optimizer): tf.Sequential {
  const seeded = (seed: number) => tf.initializers.glorotUniform({ seed });
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ inputShape: [6], units: 8, activation: 'tanh', kernelInitializer: seeded(1) }),
      tf.layers.batchNormalization(),
      tf.layers.dense({ units: 8, kernelInitializer: seeded(2) }),
      tf.layers.batchNormalization({ momentum: 0.8 }),
      tf.layers.dense({ units: 1, kernelInitializer: seeded(3) }),
    ],
  });
  model.compile({ optimizer, loss: 'meanSquaredError' });
  return model;
}

/** Another batch at each step, the same in each process. */
async function train(model: tf.Sequential, from: number, to: number): Promise<number[]> {
  const losses: number[] = [];
  for (let step = from; step < to; step++) {
    const x = tf.randomUniform([16, 6], -1, 1, 'float32', step + 1);
    const y = tf.tidy(() =>
      x
        .square()
        .sum(1, true)
        .sub(x.slice([0, 0], [-1, 1])),
    );
    losses.push((await model.trainOnBatch(x, y)) as number);
    tf.dispose([x, y]);
  }
  return losses;
}

function digest(model: tf.Sequential): string {
  const hash = createHash('sha256');
  for (const weight of model.getWeights()) hash.update(Buffer.from(weight.dataSync().slice().buffer));
  return hash.digest('hex');
}

// Names are counted per process: after these, the model's are others than in the process before.
if (mode !== 'straight') for (let i = 0; i < 3; i++) createModel(tf.train.sgd(0.1)).dispose();

await tf.setBackend('cpu');
for (const [name, create] of Object.entries(optimizers)) {
  const model = createModel(create());
  const step = new Counter();
  const checkpoint = new Checkpoint({ model, step }, { adapters: [tfjs(tf)] });
  const prefix = join(directory, name);
  let losses: number[] = [];
  if (mode === 'straight') {
    await train(model, 0, 30);
    losses = await train(model, 30, 60);
  } else if (mode === 'first') {
    losses = await train(model, 0, 30);
    step.value = 30;
    await checkpoint.write(prefix, { enableAsync: true });
    await train(model, 30, 33);
    await checkpoint.sync();
  } else {
    (await checkpoint.read(prefix)).assertConsumed();
    if (mode === 'approximate' && name === 'adam') await model.optimizer.setWeights(await model.optimizer.getWeights());
    losses = await train(model, step.value, 60);
  }
  console.log(JSON.stringify({ optimizer: name, losses, weights: digest(model) }));
  model.dispose();
}
