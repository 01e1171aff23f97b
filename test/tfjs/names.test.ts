import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { tfjs } from '../../src/tfjs/index.ts';
import { nodesOf } from '../support/graphs.ts';
import { save } from './memory.ts';
import { network, train } from './network.ts';

const adapter = tfjs(tf);

beforeAll(async () => {
  await tf.setBackend('cpu');
});

describe('names', () => {
  it("are those of Keras 3, whatever TensorFlow.js's own names count up to", async () => {
    network();
    const model = network();
    await train(model, 1);
    const { values } = await save({ model }, adapter);
    const path = (key: string) => key.replace('/.ATTRIBUTES/VARIABLE_VALUE', '');
    const texts = ['model/_tfjs_model', 'model/optimizer/_tfjs_optimizer'].map((at) => `${at}/.ATTRIBUTES/py_state`);
    expect([...values.keys()].filter((key) => !key.endsWith('VARIABLE_VALUE'))).toEqual(texts);
    expect([...values.keys()].filter((key) => !texts.includes(key)).map(path)).toEqual([
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
    const nodes = nodesOf(graph);
    const edges = (id: number) => new Map(nodes[id]!.children.map(({ localName, nodeId }) => [localName, nodeId]));
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
    expect([...values.keys()].map((key) => key.replace(/\/.ATTRIBUTES.*/, ''))).toEqual([
      'kernel',
      'a/_tfjs_model',
      'optimizer/_iterations',
      'optimizer/_learning_rate',
      'optimizer/_tfjs_optimizer',
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
    // And what the model is.
    expect(values.size).toBe(model.weights.length + 1);
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
