import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { loadCheckpoint } from '../../src/manager/index.ts';
import { tfjs } from '../../src/tfjs/index.ts';

const adapters = [tfjs(tf)];
const directory = mkdtempSync(join(tmpdir(), 'tensor-checkpoint-objects-'));
let last = 0;
const newPrefix = () => join(directory, `ckpt-${++last}`);

beforeAll(async () => {
  await tf.setBackend('cpu');
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const bits = (model: tf.LayersModel) => model.getWeights().map((weight) => Array.from(weight.dataSync()));
const x = () => tf.tensor2d([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, -1, 2, 0.5], [3, 3]);
const y = () => tf.tensor2d([0, 1, 0.5], [3, 1]);

async function train(model: tf.LayersModel, steps: number): Promise<void> {
  for (let i = 0; i < steps; i++) await model.trainOnBatch(x(), y());
}

/** Trains, saves, trains on; a fresh one restored from the checkpoint must end up the same, to the bit. */
async function expectToGoOn(create: () => tf.LayersModel): Promise<string> {
  const model = create();
  await train(model, 3);
  const prefix = newPrefix();
  await new Checkpoint({ model }, { adapters }).write(prefix);
  await train(model, 3);
  const fresh = create();
  (await new Checkpoint({ model: fresh }, { adapters }).read(prefix)).assertConsumed();
  await train(fresh, 3);
  expect(bits(fresh)).toEqual(bits(model));
  expect(bits(fresh).flat().every(Number.isFinite)).toBe(true);
  return prefix;
}

function compiled(optimizer: tf.Optimizer, layers?: tf.layers.Layer[]): tf.Sequential {
  const model = tf.sequential({
    layers: layers ?? [
      tf.layers.dense({ units: 4, inputShape: [3], activation: 'tanh' }),
      tf.layers.batchNormalization(),
      tf.layers.dense({ units: 1 }),
    ],
  });
  model.compile({ optimizer, loss: 'meanSquaredError' });
  return model;
}

describe('a restored model trains on to the bit', () => {
  it.each([
    ['sgd', () => tf.train.sgd(0.01)],
    ['momentum', () => tf.train.momentum(0.01, 0.9)],
    ['nesterov', () => tf.train.momentum(0.01, 0.9, true)],
    ['adam', () => tf.train.adam(0.01)],
    ['adamax', () => tf.train.adamax(0.01, undefined, undefined, undefined, 0.1)],
    ['rmsprop', () => tf.train.rmsprop(0.01)],
    ['rmsprop with momentum', () => tf.train.rmsprop(0.01, 0.9, 0.5)],
    ['adagrad', () => tf.train.adagrad(0.01)],
    ['adadelta', () => tf.train.adadelta(0.01)],
  ])('with the optimizer %s', async (_, create) => {
    await expectToGoOn(() => compiled(create()));
  });

  it('that nests models', async () => {
    const prefix = await expectToGoOn(() => {
      const inner = tf.sequential({
        layers: [tf.layers.dense({ units: 3, inputShape: [3] }), tf.layers.batchNormalization()],
      });
      const input = tf.input({ shape: [3] });
      const functional = tf.model({
        inputs: input,
        outputs: tf.layers.dense({ units: 3 }).apply(inner.apply(input)) as tf.SymbolicTensor,
      });
      return compiled(tf.train.adam(0.01), [functional, tf.layers.dense({ units: 1 })]);
    });
    const reader = await loadCheckpoint(prefix);
    const kernels = [...reader.variables.keys()].filter((key) => /_operations.*kernel/.test(key));
    expect(kernels.map((key) => key.replace('/.ATTRIBUTES/VARIABLE_VALUE', ''))).toEqual([
      'model/_functional/_operations/1/_operations/1/_functional/_operations/1/_kernel',
      'model/_functional/_operations/1/_operations/2/_kernel',
      'model/_functional/_operations/2/_kernel',
    ]);
  });

  it('that shares a layer, whose weights are stored once', async () => {
    const prefix = await expectToGoOn(() => {
      const shared = tf.layers.dense({ units: 3, activation: 'tanh' });
      const input = tf.input({ shape: [3] });
      const once = shared.apply(input) as tf.SymbolicTensor;
      const twice = shared.apply(once) as tf.SymbolicTensor;
      const sum = tf.layers.add().apply([once, twice]) as tf.SymbolicTensor;
      const model = tf.model({ inputs: input, outputs: tf.layers.dense({ units: 1 }).apply(sum) as tf.SymbolicTensor });
      model.compile({ optimizer: tf.train.adam(0.01), loss: 'meanSquaredError' });
      return model;
    });
    const reader = await loadCheckpoint(prefix);
    expect([...reader.variables.keys()].filter((key) => key.includes('/_kernel'))).toHaveLength(2);
  });

  it('that is recurrent', async () => {
    await expectToGoOn(() =>
      compiled(tf.train.adam(0.01), [
        tf.layers.reshape({ targetShape: [3, 1], inputShape: [3] }),
        tf.layers.lstm({ units: 2, returnSequences: true }),
        tf.layers.timeDistributed({ layer: tf.layers.dense({ units: 2 }) }),
        tf.layers.bidirectional({ layer: tf.layers.gru({ units: 2 }) as tf.RNN, mergeMode: 'concat' }),
        tf.layers.dense({ units: 1 }),
      ]),
    );
  });
});

it('all states of stateful layers go on where they were', async () => {
  const create = () =>
    tf.sequential({
      layers: [
        tf.layers.lstm({ units: 2, stateful: true, returnSequences: true, batchInputShape: [1, 2, 1] }),
        tf.layers.gru({ units: 2, stateful: true }),
      ],
    });
  const input = tf.tensor3d([0.5, -1], [1, 2, 1]);
  const predict = (model: tf.Sequential) => Array.from((model.predict(input) as tf.Tensor).dataSync());
  const model = create();
  predict(model);
  const prefix = newPrefix();
  await new Checkpoint({ model }, { adapters }).write(prefix);
  const expected = predict(model);
  const fresh = create();
  (await new Checkpoint({ model: fresh }, { adapters }).read(prefix)).assertConsumed();
  expect(predict(fresh)).toEqual(expected);
  fresh.resetStates();
  expect(predict(fresh)).not.toEqual(expected);
});

it('a NamedTensorMap, an array of tensors and variables come back in their places', async () => {
  const create = (value: number) => ({
    map: { a: tf.fill([2], value), b: tf.scalar(value, 'int32') } as tf.NamedTensorMap,
    list: [tf.fill([3], value), tf.fill([1], value)],
    variable: tf.variable(tf.fill([2, 2], value)),
  });
  const state = create(7);
  const prefix = newPrefix();
  await new Checkpoint(state, { adapters }).write(prefix);
  const fresh = create(0);
  (await new Checkpoint(fresh, { adapters }).read(prefix)).assertConsumed();
  const values = ({ map, list, variable }: typeof state) =>
    [...Object.values(map), ...list, variable].map((tensor) => [tensor.dtype, Array.from(tensor.dataSync())]);
  expect(values(fresh)).toEqual(values(state));
});

it('hyper-parameters and steps are told to Python: an int64 and a float32', async () => {
  const optimizer = tf.train.momentum(0.25, 0.9);
  const prefix = newPrefix();
  await new Checkpoint({ optimizer }, { adapters }).write(prefix);
  const reader = await loadCheckpoint(prefix);
  const variable = (name: string) => reader.variables.get(`optimizer/${name}/.ATTRIBUTES/VARIABLE_VALUE`);
  expect(variable('_iterations')).toMatchObject({ dtype: 'int64', shape: [] });
  expect(variable('_learning_rate')).toMatchObject({ dtype: 'float32', shape: [] });
  const text = (await reader.getTensor('optimizer/_tfjs_optimizer/.ATTRIBUTES/py_state')).data as Uint8Array[];
  expect(JSON.parse(new TextDecoder().decode(text[0]))).toEqual({
    className: 'Momentum',
    config: { learningRate: 0.25, momentum: 0.9, useNesterov: false },
  });
});
