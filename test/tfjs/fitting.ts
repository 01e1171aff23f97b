import { createHash } from 'node:crypto';
import * as tf from '@tensorflow/tfjs';

/** A training small enough to be run many times: 20 samples, 5 batches an epoch, with an accuracy and validation. */
export const BATCHES = 5;
export const EPOCHS = 4;

export function createModel(): tf.Sequential {
  const seeded = (seed: number) => tf.initializers.glorotUniform({ seed });
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ inputShape: [3], units: 4, activation: 'tanh', kernelInitializer: seeded(1) }),
      tf.layers.batchNormalization(),
      tf.layers.dense({
        units: 2,
        activation: 'softmax',
        kernelInitializer: seeded(2),
        kernelRegularizer: tf.regularizers.l2({ l2: 0.01 }),
      }),
    ],
  });
  model.compile({ optimizer: tf.train.adam(0.02), loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
  return model;
}

export function data(seed = 7): { x: tf.Tensor2D; y: tf.Tensor2D } {
  return tf.tidy(() => {
    const x = tf.randomUniform<tf.Rank.R2>([20, 3], -1, 1, 'float32', seed);
    const positive = x.sum(1, true).greater(0).toFloat() as tf.Tensor2D;
    return { x, y: tf.concat2d([positive, tf.sub<tf.Tensor2D>(1, positive)], 1) };
  });
}

/** How a training is called. `repeat`: a dataset without end, with batchesPerEpoch. */
export type Kind = 'fit' | 'dataset' | 'repeat';

export async function train(
  model: tf.Sequential,
  kind: Kind,
  callbacks: tf.Callback[],
  epochs = EPOCHS,
): Promise<tf.History> {
  const { x, y } = data();
  const validation = data(8);
  const validationData: [tf.Tensor2D, tf.Tensor2D] = [validation.x, validation.y];
  try {
    if (kind === 'fit') {
      return await model.fit(x, y, {
        epochs,
        batchSize: 20 / BATCHES,
        shuffle: false,
        verbose: 0,
        validationData,
        callbacks,
      });
    }
    const rows = (tensor: tf.Tensor2D) => tf.data.array(tensor.arraySync());
    const batches = tf.data
      .zip({ xs: rows(x), ys: rows(y) })
      .shuffle(20, 'seed')
      .batch(20 / BATCHES) as tf.data.Dataset<{ xs: tf.Tensor; ys: tf.Tensor }>;
    const settings = { epochs, verbose: 0 as const, validationData, callbacks };
    if (kind === 'dataset') return await model.fitDataset(batches, settings);
    return await model.fitDataset(batches.repeat(epochs), { ...settings, batchesPerEpoch: BATCHES });
  } finally {
    tf.dispose([x, y, validation]);
  }
}

export function digest(model: tf.LayersModel): string {
  const hash = createHash('sha256');
  for (const weight of model.getWeights()) hash.update(Buffer.from(weight.dataSync().slice().buffer));
  return hash.digest('hex');
}
