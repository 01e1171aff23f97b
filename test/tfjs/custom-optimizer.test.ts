import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { loadCheckpoint } from '../../src/manager/index.ts';
import { tfjs } from '../../src/tfjs/index.ts';

type NamedTensor = { name: string; tensor: tf.Tensor };

const adapters = [tfjs(tf)];
const directory = mkdtempSync(join(tmpdir(), 'tensor-checkpoint-optimizer-'));

beforeAll(async () => {
  await tf.setBackend('cpu');
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Lion: sign of a moving average of gradients. Its state is a plain tensor for each variable, replaced at each step. */
class Lion extends tf.Optimizer {
  static readonly className: string = 'Lion';
  moments: { name: string; tensor: tf.Tensor }[] = [];
  learningRate: number;
  given: string[] = [];

  constructor(learningRate: number) {
    super();
    this.learningRate = learningRate;
  }

  override applyGradients(gradients: NamedTensor[]): void {
    gradients.forEach(({ name, tensor }, i) => {
      const variable = tf.engine().state.registeredVariables[name]!;
      const old = this.moments[i]?.tensor ?? tf.zerosLike(tensor);
      const moment = tf.keep(tf.tidy(() => old.mul(0.9).add(tensor.mul(0.1))));
      tf.tidy(() => variable.assign(variable.sub(moment.sign().add(moment).mul(this.learningRate))));
      old.dispose();
      this.moments[i] = { name: `${name}/lion`, tensor: moment };
    });
    this.incrementIterations();
  }

  override async getWeights(): Promise<NamedTensor[]> {
    return [(await this.saveIterations()) as NamedTensor, ...this.moments];
  }

  override async setWeights(weights: NamedTensor[]): Promise<void> {
    const rest = await this.extractIterations(weights);
    this.given = rest.map(({ name }) => name);
    for (const { tensor } of this.moments) tensor.dispose();
    this.moments = rest.map(({ name, tensor }) => ({ name, tensor: tf.keep(tensor.clone()) }));
  }

  override getConfig(): tf.serialization.ConfigDict {
    return { learningRate: this.learningRate };
  }
}

function create(optimizer: tf.Optimizer = new Lion(0.01)): tf.Sequential {
  const model = tf.sequential({
    layers: [tf.layers.dense({ units: 4, inputShape: [3] }), tf.layers.dense({ units: 1 })],
  });
  model.compile({ optimizer, loss: 'meanSquaredError' });
  return model;
}

async function train(model: tf.LayersModel, steps: number): Promise<void> {
  for (let i = 0; i < steps; i++) await model.trainOnBatch(tf.ones([2, 3]), tf.zeros([2, 1]));
}

const bits = (model: tf.LayersModel) => model.getWeights().map((weight) => Array.from(weight.dataSync()));

describe("an optimizer of the user's own class", () => {
  it('trains on to the bit, by its getWeights and setWeights', async () => {
    const model = create();
    await train(model, 3);
    const prefix = join(directory, 'lion');
    const checkpoint = new Checkpoint({ model }, { adapters });
    await checkpoint.write(prefix);
    await train(model, 3);
    const fresh = create();
    (await new Checkpoint({ model: fresh }, { adapters }).read(prefix)).assertConsumed();
    expect(fresh.optimizer.iterations).toBe(3);
    await train(fresh, 3);
    expect(bits(fresh)).toEqual(bits(model));
    // Saved again: what it was asked for before is gone by now.
    await checkpoint.write(prefix);
  });

  it('is told the names that its variables have in this process', async () => {
    const model = create();
    await train(model, 1);
    const prefix = join(directory, 'names');
    await new Checkpoint({ model }, { adapters }).write(prefix);
    const fresh = create();
    await new Checkpoint({ model: fresh }, { adapters }).read(prefix);
    const names = fresh.trainableWeights.map((weight) => (weight.read() as tf.Variable).name);
    expect((fresh.optimizer as Lion).given).toEqual(names.map((name) => `${name}/lion`));
  });

  it('keeps its steps as int64 and leaves no tensor behind', async () => {
    const model = create();
    await train(model, 1);
    const prefix = join(directory, 'leaks');
    const checkpoint = new Checkpoint({ model }, { adapters });
    await checkpoint.write(prefix);
    await checkpoint.read(prefix);
    const before = tf.memory().numTensors;
    for (let i = 0; i < 5; i++) {
      await checkpoint.write(prefix);
      await checkpoint.read(prefix);
    }
    expect(tf.memory().numTensors).toBe(before);
    const { variables } = await loadCheckpoint(prefix);
    expect(variables.get('model/optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE')?.dtype).toBe('int64');
    expect([...variables.keys()].filter((key) => key.includes('optimizer/weights/'))).toHaveLength(4);
  });

  it('that has learned nothing yet is restored as such', async () => {
    const prefix = join(directory, 'fresh');
    await new Checkpoint({ model: create() }, { adapters }).write(prefix);
    const trained = create();
    await train(trained, 2);
    await new Checkpoint({ model: trained }, { adapters }).read(prefix);
    expect((trained.optimizer as Lion).moments).toEqual([]);
    expect(trained.optimizer.iterations).toBe(0);
  });

  it('may derive from one of TensorFlow.js and add to its weights', async () => {
    class WithMean extends tf.AdamOptimizer {
      static override get className(): string {
        return 'WithMean';
      }
      mean = tf.variable(tf.scalar(0), false);
      override async getWeights(): Promise<NamedTensor[]> {
        return [...((await super.getWeights()) as NamedTensor[]), { name: 'mean', tensor: this.mean }];
      }
      override async setWeights(weights: NamedTensor[]): Promise<void> {
        await super.setWeights(weights.slice(0, -1));
        this.mean.assign(weights.at(-1)!.tensor as tf.Scalar);
      }
    }
    const model = create(new WithMean(0.01, 0.9, 0.999));
    await train(model, 2);
    (model.optimizer as WithMean).mean.assign(tf.scalar(5));
    const prefix = join(directory, 'derived');
    await new Checkpoint({ model }, { adapters }).write(prefix);
    const fresh = create(new WithMean(0.01, 0.9, 0.999));
    (await new Checkpoint({ model: fresh }, { adapters }).read(prefix)).assertConsumed();
    expect((fresh.optimizer as WithMean).mean.dataSync()[0]).toBe(5);
    expect(await slots(fresh.optimizer)).toEqual(await slots(model.optimizer));
  });

  it('that throws is named, and nothing is saved', async () => {
    class Broken extends Lion {
      static override readonly className: string = 'Broken';
      override async getWeights(): Promise<NamedTensor[]> {
        throw new Error('not today');
      }
    }
    const checkpoint = new Checkpoint({ model: create(new Broken(0.1)) }, { adapters });
    const failure = checkpoint.write(join(directory, 'broken'));
    await expect(failure).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(/Broken.*getWeights.*not today/),
    });
    await expect(loadCheckpoint(join(directory, 'broken'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

async function slots(optimizer: tf.Optimizer): Promise<number[][]> {
  return (await optimizer.getWeights()).map(({ tensor }) => Array.from(tensor.dataSync()));
}
