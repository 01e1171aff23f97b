import * as tf from '@tensorflow/tfjs';

/** The models of keras_models.py, by name. Defaults that differ from Keras 3's are given. */

const IMAGE = [6, 6, 2];
const TOKENS = [5];
const ROW = [4];
const STEPS = [4, 3];

const apply = (layer: tf.layers.Layer, ...inputs: tf.SymbolicTensor[]) =>
  layer.apply(inputs.length === 1 ? inputs[0]! : inputs) as tf.SymbolicTensor;

function images(): tf.LayersModel {
  const input = tf.input({ shape: IMAGE });
  let x = apply(tf.layers.conv2d({ filters: 3, kernelSize: 3, activation: 'relu' }), input);
  x = apply(tf.layers.batchNormalization(), x);
  x = apply(tf.layers.maxPooling2d({ poolSize: 2 }), x);
  x = apply(tf.layers.flatten(), x);
  return tf.model({ inputs: input, outputs: apply(tf.layers.dense({ units: 2 }), x) });
}

function branches(): tf.LayersModel {
  const image = tf.input({ shape: IMAGE });
  const tokens = tf.input({ shape: TOKENS, dtype: 'int32' });
  // Without bias: its gradient before a batch normalization is nothing but rounding error.
  let x = apply(tf.layers.conv2d({ filters: 3, kernelSize: 3, useBias: false }), image);
  x = apply(tf.layers.batchNormalization(), x);
  x = apply(tf.layers.dropout({ rate: 0 }), x);
  x = apply(tf.layers.flatten(), x);
  let y = apply(tf.layers.embedding({ inputDim: 7, outputDim: 4 }), tokens);
  y = apply(tf.layers.lstm({ units: 3, recurrentActivation: 'sigmoid' }), y);
  const shared = tf.layers.dense({ units: 2, activation: 'tanh' });
  const joined = apply(tf.layers.add(), apply(shared, apply(tf.layers.dense({ units: 3 }), x)), apply(shared, y));
  const last = apply(tf.layers.dense({ units: 1 }), apply(tf.layers.concatenate(), joined, y));
  return tf.model({ inputs: [image, tokens], outputs: [joined, last] });
}

function nested(): tf.LayersModel {
  const inner = tf.sequential({
    layers: [
      tf.layers.dense({ units: 3, inputShape: ROW, activation: 'tanh' }),
      tf.layers.layerNormalization({ axis: -1 }),
    ],
  });
  const deep = tf.input({ shape: [3] });
  const functional = tf.model({ inputs: deep, outputs: apply(tf.layers.dense({ units: 3 }), deep) });
  return tf.sequential({ layers: [inner, functional, tf.layers.prelu(), tf.layers.dense({ units: 1 })] });
}

function steps(): tf.LayersModel {
  return tf.sequential({
    layers: [
      tf.layers.gru({ units: 3, returnSequences: true, recurrentActivation: 'sigmoid', inputShape: STEPS }),
      tf.layers.timeDistributed({ layer: tf.layers.dense({ units: 2 }) }),
      tf.layers.bidirectional({
        layer: tf.layers.lstm({ units: 2, recurrentActivation: 'sigmoid' }) as tf.RNN,
        mergeMode: 'sum',
      }),
      tf.layers.dense({ units: 1 }),
    ],
  });
}

function convolutions(): tf.LayersModel {
  return tf.sequential({
    layers: [
      tf.layers.separableConv2d({ filters: 3, kernelSize: 2, inputShape: IMAGE }),
      tf.layers.depthwiseConv2d({ kernelSize: 2 }),
      tf.layers.conv2dTranspose({ filters: 2, kernelSize: 2 }),
      tf.layers.globalAveragePooling2d({}),
      tf.layers.dense({ units: 1 }),
    ],
  });
}

function stateful(): tf.LayersModel {
  const input = tf.input({ batchShape: [2, ...STEPS] });
  const lstm = tf.layers.lstm({ units: 3, stateful: true, returnSequences: true, recurrentActivation: 'sigmoid' });
  const x = apply(tf.layers.simpleRNN({ units: 2, stateful: true }), apply(lstm, input));
  return tf.model({ inputs: input, outputs: apply(tf.layers.dense({ units: 1 }), x) });
}

function dense(): tf.LayersModel {
  // Seeded: the centered RMSProp of TensorFlow.js takes epsilon away under its root, and small gradients become NaN.
  const kernelInitializer = (seed: number) => tf.initializers.glorotUniform({ seed });
  return tf.sequential({
    layers: [
      tf.layers.dense({ units: 3, inputShape: ROW, activation: 'tanh', kernelInitializer: kernelInitializer(1) }),
      tf.layers.dense({ units: 1, kernelInitializer: kernelInitializer(2) }),
    ],
  });
}

const MODELS: Readonly<Record<string, readonly [() => tf.LayersModel, () => tf.Optimizer]>> = {
  images: [images, () => tf.train.momentum(0.05, 0.9)],
  branches: [branches, () => tf.train.momentum(0.05, 0.9)],
  nested: [nested, () => tf.train.adam(0.01)],
  steps: [steps, () => tf.train.adam(0.01)],
  convolutions: [convolutions, () => tf.train.rmsprop(0.01)],
  stateful: [stateful, () => tf.train.sgd(0.05)],
  sgd: [dense, () => tf.train.sgd(0.05)],
  momentum: [dense, () => tf.train.momentum(0.05, 0.9)],
  nesterov: [dense, () => tf.train.momentum(0.05, 0.9, true)],
  rmsprop: [dense, () => tf.train.rmsprop(0.01, 0.9)],
  'rmsprop-momentum': [dense, () => tf.train.rmsprop(0.01, 0.9, 0.5)],
  'rmsprop-centered': [dense, () => tf.train.rmsprop(0.01, 0.9, 0, undefined, true)],
  'rmsprop-both': [dense, () => tf.train.rmsprop(0.01, 0.9, 0.5, undefined, true)],
  adamax: [dense, () => tf.train.adamax(0.01)],
  adagrad: [dense, () => tf.train.adagrad(0.05)],
  adadelta: [dense, () => tf.train.adadelta(0.5)],
};

export const names = Object.keys(MODELS);

export function create(name: string): tf.LayersModel {
  const [model, optimizer] = MODELS[name]!;
  const made = model();
  made.compile({ optimizer: optimizer(), loss: 'meanSquaredError' });
  return made;
}

const sines = (shape: number[], start: number) => {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, (_, i) => Math.sin(i + start)),
    shape,
  );
};

function data(model: tf.LayersModel): { inputs: tf.Tensor[]; labels: tf.Tensor[] } {
  const inputs = model.inputs.map((input, i) =>
    input.dtype === 'int32'
      ? tf.tensor(
          Array.from({ length: 10 }, (_, at) => at % 7),
          [2, 5],
          'int32',
        )
      : sines([2, ...(input.shape.slice(1) as number[])], i),
  );
  return {
    inputs,
    labels: model.outputs.map((output, i) => sines([2, ...(output.shape.slice(1) as number[])], 10 + i)),
  };
}

export function predict(model: tf.LayersModel): number[] {
  const given = model.predict(data(model).inputs);
  return (Array.isArray(given) ? given : [given]).flatMap((tensor) => Array.from(tensor.dataSync()));
}

export async function step(model: tf.LayersModel): Promise<void> {
  const { inputs, labels } = data(model);
  await model.trainOnBatch(inputs, labels);
}
