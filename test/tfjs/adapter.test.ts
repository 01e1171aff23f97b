import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { isCheckpointError } from '../../src/errors.ts';
import { tfjs } from '../../src/tfjs/index.ts';
import { restore, save } from './memory.ts';

const adapter = tfjs(tf);

beforeAll(async () => {
  await tf.setBackend('cpu');
});

function network(): tf.Sequential {
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

async function train(model: tf.LayersModel, steps: number): Promise<number[]> {
  const [inputs, labels] = [x(), y()];
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) losses.push((await model.trainOnBatch(inputs, labels)) as number);
  tf.dispose([inputs, labels]);
  return losses;
}

const weightsOf = (model: tf.LayersModel) => model.getWeights().map((weight) => Array.from(weight.dataSync()));

function caught(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('names', () => {
  it("are those of Keras 3, whatever TensorFlow.js's own names count up to", async () => {
    network();
    const model = network();
    await train(model, 1);
    const { values } = await save({ model }, adapter);
    const path = (key: string) => key.replace('/.ATTRIBUTES/VARIABLE_VALUE', '');
    expect([...values.keys()].map(path)).toEqual([
      'model/optimizer/_iterations',
      'model/optimizer/_learning_rate',
      'model/optimizer/_beta_1_power',
      'model/optimizer/_beta_2_power',
      ...[2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((i) => `model/optimizer/_variables/${i}`),
      'model/_functional/_operations/1/_kernel',
      'model/_functional/_operations/1/bias',
      'model/_functional/_operations/2/gamma',
      'model/_functional/_operations/2/beta',
      'model/_functional/_operations/2/moving_mean',
      'model/_functional/_operations/2/moving_variance',
      'model/_functional/_operations/4/_kernel',
    ]);
    expect(values.get('model/optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE')).toMatchObject({
      dtype: 'int64',
      shape: [],
      bytes: new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]),
    });
  });

  it("interleave Adam's slots variable by variable, and reach them by the lists of their kinds too", async () => {
    const model = network();
    await train(model, 1);
    const { graph } = await save({ model }, adapter);
    const edges = (id: number) =>
      new Map(graph.nodes[id]!.children.map(({ localName, nodeId }) => [localName, nodeId]));
    const optimizer = edges(edges(edges(0).get('model')!).get('optimizer')!);
    const variables = edges(optimizer.get('_variables')!);
    expect(variables.get('0')).toBe(optimizer.get('_iterations'));
    expect(variables.get('1')).toBe(optimizer.get('_learning_rate'));
    for (let i = 0; i < 5; i++) {
      expect(variables.get(String(2 + 2 * i))).toBe(edges(optimizer.get('_momentums')!).get(String(i)));
      expect(variables.get(String(3 + 2 * i))).toBe(edges(optimizer.get('_velocities')!).get(String(i)));
    }
  });

  it('store a shared layer and an optimizer that is tracked twice once', async () => {
    const shared = tf.layers.dense({ units: 3 });
    const input = tf.input({ shape: [3] });
    const once = shared.apply(input) as tf.SymbolicTensor;
    const twice = shared.apply(once) as tf.SymbolicTensor;
    const outputs = tf.layers.add().apply([once, twice]) as tf.SymbolicTensor;
    const model = tf.model({ inputs: input, outputs });
    const optimizer = tf.train.momentum(0.1, 0.9);
    model.compile({ optimizer, loss: 'meanSquaredError' });
    const { values } = await save({ a: model, b: model, optimizer, kernel: shared.weights[0]!.read() }, adapter);
    expect([...values.keys()].map((key) => key.replace('/.ATTRIBUTES/VARIABLE_VALUE', ''))).toEqual([
      'kernel',
      'optimizer/_iterations',
      'optimizer/_learning_rate',
      expect.stringMatching(/^a\/_operations\/\d\/bias$/),
    ]);
  });

  it('of recurrent, bidirectional and stacked layers follow their cells', async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.bidirectional({
          layer: tf.layers.gru({ units: 2, returnSequences: true }) as tf.RNN,
          mergeMode: 'concat',
          inputShape: [3, 2],
        }),
        tf.layers.rnn({
          cell: tf.layers.stackedRNNCells({
            cells: [tf.layers.lstmCell({ units: 2 }), tf.layers.simpleRNNCell({ units: 2 })],
          }) as never,
        }),
      ],
    });
    const { values } = await save({ model }, adapter);
    expect(values.size).toBe(model.weights.length);
    const keys = [...values.keys()].join('\n');
    expect(keys).toContain('_operations/1/forward_layer/cell/recurrent_kernel');
    expect(keys).toContain('_operations/1/backward_layer/cell/bias');
    expect(keys).toContain('_operations/2/cell/cells/1/recurrent_kernel');
  });

  it('of weights that a custom layer keeps in layers of its own fall back to a list', async () => {
    class Twin extends tf.layers.Layer {
      static readonly className = 'Twin';
      readonly one = tf.layers.dense({ units: 2 });
      readonly two = tf.layers.dense({ units: 2 });
      override build(shape: tf.Shape): void {
        this.one.build(shape);
        this.two.build(shape);
        (this as unknown as { _trainableWeights: unknown[] })._trainableWeights = [];
        super.build(shape);
      }
      override get trainableWeights() {
        return [...this.one.trainableWeights, ...this.two.trainableWeights];
      }
      override set trainableWeights(_) {}
      override call(inputs: tf.Tensor | tf.Tensor[]) {
        const tensor = Array.isArray(inputs) ? inputs[0]! : inputs;
        return this.two.apply(this.one.apply(tensor)) as tf.Tensor;
      }
    }
    const layer = new Twin();
    layer.build([null, 2]);
    const { values } = await save({ layer }, adapter);
    expect([...values.keys()]).toEqual([0, 1, 2, 3].map((i) => `layer/_weights/${i}/.ATTRIBUTES/VARIABLE_VALUE`));
  });
});

describe('values', () => {
  it('of a model that trained come back in a fresh one, with its optimizer, to the bit', async () => {
    const model = network();
    await train(model, 5);
    const checkpoint = await save({ model }, adapter);
    const expected = await train(model, 5);

    const fresh = network();
    expect(await restore({ model: fresh }, adapter, checkpoint)).toEqual([]);
    expect(await train(fresh, 5)).toEqual(expected);
    expect(weightsOf(fresh)).toEqual(weightsOf(model));
  });

  it('are those at the moment of capture, though training goes on before they are read', async () => {
    const model = network();
    await train(model, 3);
    const before = weightsOf(model);
    const saving = save({ model }, adapter);
    await train(model, 3);
    const fresh = network();
    await restore({ model: fresh }, adapter, await saving);
    expect(weightsOf(fresh)).toEqual(before);
    expect(weightsOf(model)).not.toEqual(before);
  });

  it("come from the cpu backend's own memory, at once and without a copy", () => {
    const variable = tf.variable(tf.tensor1d([1, 2, 3]));
    const snapshot = adapter.adapt(variable)!.values!()[0]!.capture();
    expect(snapshot.source).not.toBeInstanceOf(Promise);
    const { bytes } = snapshot.source as { bytes: Uint8Array };
    expect(bytes.buffer).toBe(variable.dataSync().buffer);
    variable.dispose();
  });

  it('in memory that can be shared or resized are copied', async () => {
    const shared = new Float32Array(new SharedArrayBuffer(8));
    const resizable = new Float32Array(new ArrayBuffer(8, { maxByteLength: 16 }));
    for (const memory of [shared, resizable]) {
      memory.set([1, 2]);
      const variable = tf.variable(tf.tensor1d(memory));
      const { bytes } = (await adapter.adapt(variable)!.values!()[0]!.capture().source) as { bytes: Uint8Array };
      expect(bytes.buffer).toBeInstanceOf(ArrayBuffer);
      expect((bytes.buffer as ArrayBuffer & { resizable: boolean }).resizable).toBe(false);
      expect(new Float32Array(bytes.buffer)).toEqual(Float32Array.of(1, 2));
      variable.dispose();
    }
  });

  it.each([
    ['float32', () => tf.tensor([1.5, Number.NaN, -0], [3])],
    ['int32', () => tf.tensor([1, -2, 2 ** 31 - 1], [3, 1], 'int32')],
    ['bool', () => tf.tensor([1, 0, 1, 1], [2, 2], 'bool')],
    ['complex64', () => tf.complex(tf.tensor1d([1, 2]), tf.tensor1d([3, 4]))],
    ['string', () => tf.tensor(['a', '', 'ähm'], [3], 'string')],
    ['scalar string', () => tf.scalar('one', 'string')],
    ['scalar', () => tf.scalar(7)],
    ['empty', () => tf.zeros([0, 3])],
  ])('of dtype or shape %s survive in a variable and in an object', async (_, make) => {
    const held = { variable: tf.variable(make()), object: { tensor: make() }, list: [make(), make()] };
    const expected = held.object.tensor.arraySync();
    const checkpoint = await save(held, adapter);
    const like = () => (make().dtype === 'complex64' ? tf.complex(tf.zeros([2]), tf.zeros([2])) : tf.zerosLike(make()));
    const blank = () => (make().dtype === 'string' ? tf.fill(make().shape, 'x') : like());
    const fresh = { variable: tf.variable(blank()), object: { tensor: blank() }, list: [blank(), blank()] };
    const replaced = fresh.object.tensor;
    expect(await restore(fresh, adapter, checkpoint)).toEqual([]);
    expect(fresh.variable.arraySync()).toEqual(expected);
    expect(fresh.object.tensor.arraySync()).toEqual(expected);
    expect(fresh.list[1]!.arraySync()).toEqual(expected);
    expect(fresh.object.tensor.dtype).toBe(replaced.dtype);
    expect(replaced.isDisposed).toBe(true);
  });

  it('of a learning rate come back as the number that was written', async () => {
    for (const rate of [0.001, 0.1, 1 / 3, 3e-7]) {
      const optimizer = tf.train.sgd(rate);
      const fresh = tf.train.sgd(1);
      await restore({ optimizer: fresh }, adapter, await save({ optimizer }, adapter));
      const restored = (fresh as unknown as { learningRate: number }).learningRate;
      expect(Math.fround(restored)).toBe(Math.fround(rate));
      if (rate !== 1 / 3) expect(restored).toBe(rate);
    }
  });

  it('of a stateful recurrent layer include its states, in a fresh process too', async () => {
    const build = () => {
      const layer = tf.layers.lstm({
        units: 2,
        stateful: true,
        batchInputShape: [1, 2, 1],
        kernelInitializer: tf.initializers.glorotUniform({ seed: 1 }),
        recurrentInitializer: tf.initializers.glorotUniform({ seed: 2 }),
      });
      return tf.sequential({ layers: [layer] });
    };
    const input = tf.tensor3d([0.5, -1], [1, 2, 1]);
    const predict = (model: tf.Sequential) => Array.from((model.predict(input) as tf.Tensor).dataSync());
    const model = build();
    predict(model);
    const checkpoint = await save({ model }, adapter);
    const expected = predict(model);
    const fresh = build();
    expect(await restore({ model: fresh }, adapter, checkpoint)).toEqual([]);
    expect(predict(fresh)).toEqual(expected);
    expect(predict(build())).not.toEqual(expected);
  });
});

describe('optimizers', () => {
  it('without a model get the slots that the checkpoint has', async () => {
    const variable = tf.variable(tf.tensor1d([1, 2]));
    const minimize = (optimizer: tf.Optimizer) => optimizer.minimize(() => variable.square().sum(), false, [variable]);
    const optimizer = tf.train.adagrad(0.1);
    minimize(optimizer);
    const checkpoint = await save({ optimizer, variable }, adapter);
    minimize(optimizer);
    const expected = Array.from(variable.dataSync());
    const fresh = tf.train.adagrad(0.5);
    expect(await restore({ optimizer: fresh, variable }, adapter, checkpoint)).toEqual([]);
    minimize(fresh);
    expect(Array.from(variable.dataSync())).toEqual(expected);
    expect(fresh.iterations).toBe(2);
  });

  it('are not given slots by a checkpoint that has none', async () => {
    const model = network();
    const checkpoint = await save({ model }, adapter);
    const fresh = network();
    const before = tf.memory().numTensors;
    await restore({ model: fresh }, adapter, checkpoint);
    expect(tf.memory().numTensors).toBe(before);
  });

  it("of a checkpoint without running powers get TensorFlow.js's own approximation", async () => {
    const model = network();
    await train(model, 2);
    const { graph, values } = await save({ model }, adapter);
    const nodes = graph.nodes.map((node) => ({
      ...node,
      children: node.children.filter(({ localName }) => !localName.startsWith('_beta')),
    }));
    const fresh = network();
    await restore({ model: fresh }, adapter, { graph: { nodes }, values });
    const { accBeta1 } = fresh.optimizer as unknown as { accBeta1: tf.Variable };
    expect(accBeta1.dataSync()[0]).toBeCloseTo(0.9 ** 3, 6);
  });

  it('of a class that is not known are refused, naming it and what to do', () => {
    class Lion extends tf.SGDOptimizer {
      static override get className() {
        return 'Lion';
      }
    }
    const error = caught(() => adapter.adapt(new Lion(0.1)));
    expect(isCheckpointError(error) && error.code).toBe('UNSUPPORTED');
    expect((error as Error).message).toMatch(/Lion.*checkpointChildren/);
  });
});

describe('memory', () => {
  it('does not grow by a tensor over 50 saves, also inside tf.tidy', async () => {
    const model = network();
    await train(model, 2);
    const objects = { model, held: { tensor: tf.scalar(1), text: tf.scalar('x', 'string') } };
    const before = tf.memory();
    for (let i = 0; i < 50; i++) await save(objects, adapter);
    let pending: Promise<unknown> | undefined;
    tf.tidy(() => {
      pending = save(objects, adapter);
    });
    await pending;
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numDataBuffers).toBe(before.numDataBuffers);
  });

  it('does not grow by a tensor over 20 restores', async () => {
    const model = network();
    await train(model, 2);
    const objects = { model, held: { tensor: tf.scalar(1) } };
    const checkpoint = await save(objects, adapter);
    await restore(objects, adapter, checkpoint);
    const before = tf.memory();
    for (let i = 0; i < 20; i++) await restore(objects, adapter, checkpoint);
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numDataBuffers).toBe(before.numDataBuffers);
  });

  it('of a backend that copies is given back when its bytes were read, or when they are not wanted', async () => {
    // The adapter asks for the backend's name alone.
    const elsewhere = tfjs({ ...tf, getBackend: () => 'device' });
    const variable = tf.variable(tf.tensor1d([1, 2]));
    const before = tf.memory().numTensors;
    const read = elsewhere.adapt(variable)!.values!()[0]!.capture();
    expect(read.source).toBeInstanceOf(Promise);
    expect(tf.memory().numTensors).toBe(before + 1);
    tf.tidy(() => variable.assign(tf.tensor1d([3, 4])));
    const source = (await read.source) as { bytes: Uint8Array };
    expect(new Float32Array(source.bytes.buffer, source.bytes.byteOffset, 2)).toEqual(Float32Array.of(1, 2));
    read.release!();
    const unread = elsewhere.adapt(variable)!.values!()[0]!.capture();
    unread.release!();
    await expect(unread.source).rejects.toThrow('released');
    expect(tf.memory().numTensors).toBe(before);
    variable.dispose();
  });
});

describe('what cannot be', () => {
  it.each([
    ['nothing', undefined],
    ['a module that is something else', { version: 1 }],
  ])('used as tf is refused: %s', (_, given) => {
    const error = caught(() => tfjs(given as never));
    expect(isCheckpointError(error) && error.code).toBe('INVALID_ARGUMENT');
    expect((error as Error).message).toContain('TensorFlow.js module');
  });

  it('saved because it was disposed is refused by name', async () => {
    const variable = tf.variable(tf.scalar(1), true, 'gone');
    variable.dispose();
    await expect(save({ variable }, adapter)).rejects.toThrow(/'gone' has been disposed/);
  });

  it('restored because it is a tensor by itself says where to put it', async () => {
    const checkpoint = await save({ tensor: tf.scalar(1) }, adapter);
    const before = tf.memory().numTensors;
    await expect(restore({ tensor: tf.scalar(2) }, adapter, checkpoint)).rejects.toThrow(/tf.Variable/);
    expect(tf.memory().numTensors).toBe(before + 1);
  });
});
