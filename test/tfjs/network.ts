import * as tf from '@tensorflow/tfjs';

/** A small model with batch normalization and Adam. */
export function network(): tf.Sequential {
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ units: 4, inputShape: [3], activation: 'relu' }),
      tf.layers.batchNormalization(),
      tf.layers.dropout({ rate: 0 }),
      tf.layers.dense({ units: 2, useBias: false }),
    ],
  });
  model.compile({ optimizer: tf.train.adam(0.01), loss: 'meanSquaredError' });
  return model;
}

const x = () => tf.tensor2d([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, -1, 2, 0.5], [3, 3]);
const y = () => tf.tensor2d([0, 1, 1, 0, 0.5, 0.5], [3, 2]);

export async function train(model: tf.LayersModel, steps: number): Promise<number[]> {
  const [inputs, labels] = [x(), y()];
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) losses.push((await model.trainOnBatch(inputs, labels)) as number);
  tf.dispose([inputs, labels]);
  return losses;
}

export const weightsOf = (model: tf.LayersModel) => model.getWeights().map((weight) => Array.from(weight.dataSync()));

/** What `action` throws. */
export function caught(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}
