import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TensorSource } from '../../src/tensor/source.ts';
import { tfjs } from '../../src/tfjs/index.ts';
import { restore, save } from './memory.ts';
import { network, train, weightsOf } from './network.ts';

const adapter = tfjs(tf);

beforeAll(async () => {
  await tf.setBackend('cpu');
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
    const { bytes } = snapshot.source as Extract<TensorSource, { kind: 'memory' }>;
    expect(bytes.buffer).toBe(variable.dataSync().buffer);
    variable.dispose();
  });

  it('in memory that can be shared or resized are copied', async () => {
    const shared = new Float32Array(new SharedArrayBuffer(8));
    const resizable = new Float32Array(new ArrayBuffer(8, { maxByteLength: 16 }));
    for (const memory of [shared, resizable]) {
      memory.set([1, 2]);
      const variable = tf.variable(tf.tensor1d(memory));
      const { bytes } = (await adapter.adapt(variable)!.values!()[0]!.capture().source) as Extract<
        TensorSource,
        { kind: 'memory' }
      >;
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
    await save({ model }, adapter);
    predict(model);
    const checkpoint = await save({ model }, adapter);
    const expected = predict(model);
    const fresh = build();
    expect(await restore({ model: fresh }, adapter, checkpoint)).toEqual([]);
    expect(predict(fresh)).toEqual(expected);
    expect(predict(build())).not.toEqual(expected);
  });
});
