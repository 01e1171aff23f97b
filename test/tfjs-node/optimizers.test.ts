import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { exportTfjsModel, loadModel, tfjs } from '../../src/tfjs/index.ts';
import { testDirectories } from '../support/directory.ts';
import { describeWithTfjsNode, loadTfjsNode } from '../support/tfjs-node.ts';

const directory = testDirectories();

describeWithTfjsNode('a model and its optimizer in tfjs-node', () => {
  const tf = loadTfjsNode();

  type Train = typeof tf.train;
  type Optimizer = ReturnType<Train['momentum'] | Train['adam'] | Train['rmsprop']>;

  function create(optimizer: Optimizer) {
    const model = tf.sequential({
      layers: [
        tf.layers.dense({ units: 4, inputShape: [3], activation: 'tanh' }),
        tf.layers.batchNormalization(),
        tf.layers.dense({ units: 1 }),
      ],
    });
    model.compile({ optimizer, loss: 'meanSquaredError' });
    return model;
  }

  type Model = ReturnType<typeof create>;

  async function train(model: Model, steps: number): Promise<void> {
    for (let i = 0; i < steps; i++) {
      const [x, y] = [tf.tensor2d([0.1, 0.2, 0.3, 0.4, 0.5, -0.6], [2, 3]), tf.tensor2d([0, 1], [2, 1])];
      await model.trainOnBatch(x, y);
      tf.dispose([x, y]);
    }
  }

  const bits = (model: Model) => model.getWeights().map((weight) => Array.from(weight.dataSync()));

  it.each<[string, () => Optimizer]>([
    ['momentum', () => tf.train.momentum(0.1, 0.9)],
    ['adam', () => tf.train.adam(0.01)],
    ['rmsprop', () => tf.train.rmsprop(0.01, 0.9, 0.5)],
  ])('trains on to the bit, though it went on training while it was saved: %s', async (_, optimizer) => {
    const model = create(optimizer());
    await train(model, 3);
    const checkpoint = new Checkpoint({ model }, { adapters: [tfjs(tf)] });
    const prefix = join(directory(), 'ckpt');
    const saving = checkpoint.write(prefix);
    await train(model, 3);
    await saving;
    const fresh = create(optimizer());
    (await new Checkpoint({ model: fresh }, { adapters: [tfjs(tf)] }).read(prefix)).assertConsumed();
    await train(fresh, 3);
    expect(bits(fresh)).toEqual(bits(model));

    const loaded = await loadModel(tf, prefix);
    await train(loaded as Model, 3);
    expect(bits(loaded as Model)).toEqual(bits(model));
    await exportTfjsModel(prefix, join(directory(), 'public'));

    const before = tf.memory().numTensors;
    for (let i = 0; i < 5; i++) {
      await checkpoint.write(prefix, { durable: false });
      await checkpoint.read(prefix);
    }
    expect(tf.memory().numTensors).toBe(before);
  });
});
