import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { isCheckpointError } from '../../src/errors.ts';
import { tfjs } from '../../src/tfjs/index.ts';
import { graphOf, nodesOf } from '../support/graphs.ts';
import { restore, save } from './memory.ts';
import { caught, network, train } from './network.ts';

const adapter = tfjs(tf);

beforeAll(async () => {
  await tf.setBackend('cpu');
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

  it('keep all slots of a centered RMSProp, kind by kind as Keras does', async () => {
    const variables = [tf.variable(tf.tensor1d([1, 2])), tf.variable(tf.scalar(3))];
    const loss = () => tf.addN(variables.map((variable) => variable.square().sum())) as tf.Scalar;
    const create = () => tf.train.rmsprop(0.1, 0.9, 0.5, undefined, true);
    const optimizer = create();
    optimizer.minimize(loss, false, variables);
    const checkpoint = await save({ optimizer, variables }, adapter);
    const slots = [...checkpoint.values].filter(([key]) => /_variables\/[2-9]/.test(key)).map(([, { shape }]) => shape);
    expect(slots).toEqual([[2], [], [2], [], [2], []]);
    optimizer.minimize(loss, false, variables);
    const expected = variables.map((variable) => Array.from(variable.dataSync()));
    const fresh = create();
    expect(await restore({ optimizer: fresh, variables }, adapter, checkpoint)).toEqual([]);
    fresh.minimize(loss, false, variables);
    expect(variables.map((variable) => Array.from(variable.dataSync()))).toEqual(expected);
    expect(expected.flat().every(Number.isFinite)).toBe(true);
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
    const nodes = nodesOf(graph).map((node) => ({
      ...node,
      children: node.children.filter(({ localName }) => !localName.startsWith('_beta')),
    }));
    const fresh = network();
    await restore({ model: fresh }, adapter, { graph: graphOf(nodes), values });
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
