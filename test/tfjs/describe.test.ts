import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Checkpoint, Counter } from '../../src/checkpoint/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { describeCheckpoint, exportTfjsModel, loadModel, modelTopology, tfjs } from '../../src/tfjs/index.ts';

const adapters = [tfjs(tf)];
const directory = mkdtempSync(join(tmpdir(), 'tensor-checkpoint-describe-'));

beforeAll(async () => {
  await tf.setBackend('cpu');
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function create(): tf.Sequential {
  const model = tf.sequential({
    name: 'classifier',
    layers: [
      tf.layers.dense({ units: 4, inputShape: [3], activation: 'tanh' }),
      tf.layers.batchNormalization(),
      tf.layers.dense({ units: 1 }),
    ],
  });
  model.setUserDefinedMetadata({ classes: ['cat', 'dög'] });
  return model;
}

function compiled(): tf.Sequential {
  const model = create();
  model.compile({ optimizer: tf.train.adam(0.125), loss: 'meanSquaredError', metrics: ['accuracy'] });
  return model;
}

const x = () => tf.tensor2d([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [2, 3]);
const y = () => tf.tensor2d([0, 1], [2, 1]);
const bits = (model: tf.LayersModel) => model.getWeights().map((weight) => Array.from(weight.dataSync()));

async function saved(name: string, objects: Record<string, unknown>): Promise<string> {
  return await new Checkpoint(objects, { adapters }).save(join(directory, name, 'ckpt'));
}

describe('describeCheckpoint', () => {
  it('says what the objects of a checkpoint are without building them', async () => {
    const model = compiled();
    await model.trainOnBatch(x(), y());
    const prefix = await saved('whole', { model, step: new Counter(1) });
    const description = await describeCheckpoint(join(directory, 'whole'));
    expect(description).toMatchObject({
      prefix,
      objects: ['model', 'step'],
      saveCounter: 1,
      models: [
        {
          path: 'model',
          className: 'Sequential',
          name: 'classifier',
          layers: 3,
          parameters: 16 + 16 + 5,
          optimizer: { className: 'Adam', iterations: 1, config: { learningRate: 0.125, beta1: 0.9 } },
          userDefinedMetadata: { classes: ['cat', 'dög'] },
          generatedBy: expect.stringContaining('4.22.0'),
        },
      ],
    });
    expect(description.models).toHaveLength(1);
    expect(description.bytes).toBeGreaterThan(3 * 37 * 4 - 100);
  });

  it('follows a model that changes between two saves of one Checkpoint', async () => {
    const model = create();
    const checkpoint = new Checkpoint({ model }, { adapters });
    const told = async () => {
      const prefix = await checkpoint.write(join(directory, 'changing'));
      const { modelTopology: topology, trainingConfig } = await modelTopology(prefix);
      const { layers } = topology.config as { layers: { config: { trainable: boolean } }[] };
      const { models } = await describeCheckpoint(prefix);
      const { optimizer, userDefinedMetadata } = models[0]!;
      const trainable = layers.map(({ config }) => config.trainable);
      return { trainable, optimizer, userDefinedMetadata, isCompiled: trainingConfig !== undefined };
    };
    expect(await told()).toMatchObject({ trainable: [true, true, true], optimizer: null, isCompiled: false });
    model.layers[0]!.trainable = false;
    expect((await told()).trainable).toEqual([false, true, true]);
    model.compile({ optimizer: tf.train.sgd(0.5), loss: 'meanSquaredError' });
    expect(await told()).toMatchObject({ optimizer: { config: { learningRate: 0.5 } }, isCompiled: true });
    (model.optimizer as tf.SGDOptimizer).setLearningRate(0.25);
    expect(await told()).toMatchObject({ optimizer: { config: { learningRate: 0.25 } } });
    model.setUserDefinedMetadata({ run: 2 });
    expect((await told()).userDefinedMetadata).toEqual({ run: 2 });
    model.add(tf.layers.dense({ units: 2 }));
    expect((await told()).trainable).toHaveLength(4);
  });

  it('says so of a checkpoint without models, and of one that nobody can find', async () => {
    const tensor = new HostTensor({ dtype: 'float32', shape: [2], data: new Float32Array(2) });
    const prefix = await saved('none', { tensor });
    expect(await describeCheckpoint(prefix)).toMatchObject({ tensors: 2, models: [], objects: ['tensor'] });
    await expect(describeCheckpoint(join(directory, 'nothing'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(modelTopology(prefix)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('lists a model of several by its place, not those that are its layers', async () => {
    const inner = create();
    const outer = tf.sequential({ layers: [inner, tf.layers.dense({ units: 2 })] });
    const prefix = await saved('several', { gan: { generator: outer, critic: create() } });
    const { models } = await describeCheckpoint(prefix);
    expect(models.map(({ path }) => path)).toEqual(['gan/generator', 'gan/critic']);
    await expect(modelTopology(prefix)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('gan/generator, gan/critic'),
    });
    expect(await modelTopology(prefix, { model: 'gan/critic' })).toMatchObject({ format: 'layers-model' });
    await expect(modelTopology(prefix, { model: 'elsewhere' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

it.each([
  ['no JSON', 'x'],
  ['a list', '[]'],
  ['nothing', '{}'],
  ['no weights', '{"generatedBy":"x","parameters":1,"modelTopology":{}}'],
  ['weights without a place', '{"generatedBy":"x","parameters":1,"modelTopology":{},"weights":[{"name":"a"}]}'],
  ['a topology that is a text', '{"generatedBy":"x","parameters":1,"modelTopology":"x","weights":[]}'],
])('a checkpoint whose model is described by %s is damaged', async (_, text) => {
  const prefix = await saved('damaged', { model: { _tfjs_model: { serialize: () => text, deserialize() {} } } });
  for (const ask of [describeCheckpoint, modelTopology, (at: string) => loadModel(tf, at)]) {
    await expect(ask(prefix)).rejects.toMatchObject({ code: 'DATA_LOSS', key: expect.stringContaining('_tfjs_model') });
  }
});

it('a checkpoint that names a weight which it has not is damaged', async () => {
  const weights = [{ name: 'a', path: ['nowhere'] }];
  const facts = { generatedBy: 'x', parameters: 1, modelTopology: {}, weights };
  const model = { _tfjs_model: { serialize: () => JSON.stringify(facts), deserialize() {} } };
  const prefix = await saved('missing-weight', { model });
  const exporting = exportTfjsModel(prefix, join(directory, 'exported'));
  await expect(exporting).rejects.toMatchObject({ code: 'DATA_LOSS', message: expect.stringContaining("'a'") });
});

describe('loadModel', () => {
  it('builds a model from the checkpoint alone, compiled, and it trains on to the bit', async () => {
    const model = compiled();
    for (let i = 0; i < 3; i++) await model.trainOnBatch(x(), y());
    const prefix = await saved('load', { run: { model } });
    await model.trainOnBatch(x(), y());
    const loaded = await loadModel(tf, prefix);
    expect(loaded).toBeInstanceOf(tf.Sequential);
    expect(loaded.getUserDefinedMetadata()).toEqual({ classes: ['cat', 'dög'] });
    expect(loaded.optimizer.iterations).toBe(3);
    await loaded.trainOnBatch(x(), y());
    expect(bits(loaded)).toEqual(bits(model));
  });

  it('of a functional model with shared layers and several inputs and outputs', async () => {
    const inputs = [tf.input({ shape: [3], name: 'left' }), tf.input({ shape: [3], name: 'right' })];
    const shared = tf.layers.dense({ units: 2 });
    const [a, b] = inputs.map((input) => shared.apply(input) as tf.SymbolicTensor);
    const outputs = [tf.layers.add().apply([a!, b!]), tf.layers.dense({ units: 1 }).apply(b!)] as tf.SymbolicTensor[];
    const model = tf.model({ inputs, outputs });
    const loaded = await loadModel(tf, await saved('functional', { model }));
    const predict = (of: tf.LayersModel) =>
      (of.predict([x(), x().mul(2)]) as tf.Tensor[]).map((tensor) => Array.from(tensor.dataSync()));
    expect(predict(loaded)).toEqual(predict(model));
  });

  it('leaves the optimizer out where it is not wanted', async () => {
    const model = compiled();
    await model.trainOnBatch(x(), y());
    const loaded = await loadModel(tf, await saved('uncompiled', { model }), { compile: false });
    expect(loaded.optimizer ?? null).toBeNull();
    expect(bits(loaded)).toEqual(bits(model));
  });

  it('says why a model can not be built: a class that nobody has registered, a topology that there is not', async () => {
    class Twice extends tf.layers.Layer {
      static readonly className = 'TwiceUnregistered';
      override call(inputs: tf.Tensor | tf.Tensor[]) {
        return (Array.isArray(inputs) ? inputs[0]! : inputs).mul(2);
      }
    }
    const custom = tf.sequential({ layers: [new Twice({ inputShape: [3] }), tf.layers.dense({ units: 1 })] });
    await expect(loadModel(tf, await saved('custom', { custom }))).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('TwiceUnregistered'),
    });
    class Silent extends Twice {
      override getConfig(): tf.serialization.ConfigDict {
        throw new Error('I tell nobody');
      }
    }
    const silent = tf.sequential({ layers: [new Silent({ inputShape: [3] }), tf.layers.dense({ units: 1 })] });
    const prefix = await saved('silent', { silent });
    expect((await describeCheckpoint(prefix)).models[0]).toMatchObject({ className: null, parameters: 4 });
    await expect(loadModel(tf, prefix)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('I tell nobody'),
    });
  });
});
