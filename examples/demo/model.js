// A small convolutional network with batch normalization, trained by Adam: 69,000 parameters, with Adam's two slots for
// each a state of 0.8 MB.
import { createHash } from 'node:crypto';
import * as tf from '@tensorflow/tfjs';
import { SIDE } from './data.js';

export const CLASSES = 10;

/** @param {number} seed of the initial weights */
export function createModel(seed) {
  const initializer = (/** @type {number} */ layer) => tf.initializers.heNormal({ seed: seed * 100 + layer });
  const model = tf.sequential({
    layers: [
      tf.layers.conv2d({
        inputShape: [SIDE, SIDE, 1],
        filters: 16,
        kernelSize: 3,
        strides: 2,
        padding: 'same',
        activation: 'relu',
        kernelInitializer: initializer(1),
      }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 256, useBias: false, kernelInitializer: initializer(2) }),
      tf.layers.batchNormalization({ momentum: 0.9 }),
      tf.layers.activation({ activation: 'relu' }),
      tf.layers.dense({ units: CLASSES, activation: 'softmax', kernelInitializer: initializer(3) }),
    ],
  });
  model.compile({ optimizer: tf.train.adam(0.003), loss: 'sparseCategoricalCrossentropy' });
  return model;
}

/**
 * One step; returns the loss.
 *
 * @param {tf.LayersModel} model
 * @param {{ images: Float32Array, labels: Int32Array }} batch
 */
export async function trainStep(model, { images, labels }) {
  const x = tf.tensor4d(images, [labels.length, SIDE, SIDE, 1]);
  const y = tf.tensor1d(Float32Array.from(labels));
  const loss = /** @type {number} */ (await model.trainOnBatch(x, y));
  tf.dispose([x, y]);
  return loss;
}

/**
 * The share of digits that the model reads correctly.
 *
 * @param {tf.LayersModel} model
 * @param {import('./data.js').Digits} digits
 */
export function accuracy(model, digits) {
  return tf.tidy(() => {
    const x = tf.tensor4d(digits.images, [digits.count, SIDE, SIDE, 1]);
    const guesses = /** @type {tf.Tensor} */ (model.predict(x, { batchSize: 100 })).argMax(-1).dataSync();
    return digits.labels.filter((label, i) => label === guesses[i]).length / digits.count;
  });
}

/**
 * A digest of all weights, to the last bit.
 *
 * @param {tf.LayersModel} model
 */
export function digest(model) {
  const hash = createHash('sha256');
  for (const weight of model.getWeights()) {
    const { buffer, byteOffset, byteLength } = weight.dataSync();
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest('hex');
}
