import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Checkpoint, Counter } from '../../src/checkpoint/index.ts';
import { tfjs } from '../../src/tfjs/index.ts';

const adapters = [tfjs(tf)];
const directory = mkdtempSync(join(tmpdir(), 'tensor-checkpoint-tfjs-'));

beforeAll(async () => {
  await tf.setBackend('cpu');
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function network(units = 4): tf.Sequential {
  return tf.sequential({
    layers: [
      tf.layers.dense({ units, inputShape: [3], activation: 'tanh' }),
      tf.layers.batchNormalization(),
      tf.layers.dense({ units: 1 }),
    ],
  });
}

function compiled(units = 4): tf.Sequential {
  const model = network(units);
  model.compile({ optimizer: tf.train.adam(0.01), loss: 'meanSquaredError' });
  return model;
}

async function train(model: tf.LayersModel, steps: number): Promise<number[]> {
  const x = tf.tensor2d([1, 2, 3, 4, 5, 6, -1, 0, 1], [3, 3]);
  const y = tf.tensor2d([1, 0, 1], [3, 1]);
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) losses.push((await model.trainOnBatch(x, y)) as number);
  tf.dispose([x, y]);
  return losses;
}

const bits = (model: tf.LayersModel) => model.getWeights().map((weight) => Array.from(weight.dataSync()));

describe('a checkpoint of a tfjs model', () => {
  it('holds the model at the call, though training goes on while it is written', async () => {
    const model = compiled();
    await train(model, 2);
    const checkpoint = new Checkpoint({ model, step: new Counter(2) }, { adapters });
    const before = bits(model);
    const writing = checkpoint.write(join(directory, 'going-on'), { enableAsync: true });
    await train(model, 3);
    await writing;
    await checkpoint.sync();
    const fresh = compiled();
    const status = await new Checkpoint({ model: fresh, step: new Counter() }, { adapters }).read(
      join(directory, 'going-on'),
    );
    status.assertConsumed().assertExistingObjectsMatched();
    expect(bits(fresh)).toEqual(before);
  });

  it('holds the model at the call for a backend that reads later', async () => {
    const elsewhere = [tfjs({ ...tf, getBackend: () => 'device' })];
    const model = compiled();
    await train(model, 2);
    const before = bits(model);
    const tensors = tf.memory().numTensors;
    const checkpoint = new Checkpoint({ model }, { adapters: elsewhere });
    const writing = checkpoint.write(join(directory, 'later'), { enableAsync: true });
    await train(model, 3);
    await writing;
    await checkpoint.sync();
    expect(tf.memory().numTensors).toBe(tensors);
    const fresh = compiled();
    await new Checkpoint({ model: fresh }, { adapters }).read(join(directory, 'later'));
    expect(bits(fresh)).toEqual(before);
  });

  it.each([
    ['cpu', adapters],
    ['device', [tfjs({ ...tf, getBackend: () => 'device' })]],
  ])('leaves no tensor behind over 50 saves and 10 restores on a backend like %s', async (backend, used) => {
    const model = compiled();
    await train(model, 1);
    const checkpoint = new Checkpoint({ model, state: { tensor: tf.ones([4]) } }, { adapters: used });
    const prefix = join(directory, `leaks-${backend}`);
    const before = tf.memory();
    for (let i = 0; i < 50; i++) await checkpoint.write(prefix, { durable: false });
    for (let i = 0; i < 10; i++) await checkpoint.read(prefix);
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numDataBuffers).toBe(before.numDataBuffers);
  });

  it('gives every tensor back when the save fails', async () => {
    const model = compiled();
    const used = [tfjs({ ...tf, getBackend: () => 'device' })];
    const before = tf.memory().numTensors;
    const signal = AbortSignal.abort();
    const checkpoint = new Checkpoint({ model }, { adapters: used });
    await expect(checkpoint.write(join(directory, 'aborted'), { signal })).rejects.toMatchObject({ code: 'ABORTED' });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(tf.memory().numTensors).toBe(before);
  });

  it('that does not fit is refused before anything is assigned', async () => {
    const model = compiled(4);
    await train(model, 1);
    const prefix = join(directory, 'four');
    await new Checkpoint({ model }, { adapters }).write(prefix);
    const other = compiled(5);
    const before = bits(other);
    const expected = await train(compiledLike(other), 2);
    await expect(new Checkpoint({ model: other }, { adapters }).read(prefix)).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
    });
    expect(bits(other)).toEqual(before);
    // Its optimizer, which has been given slots, still trains as a fresh one.
    expect(await train(other, 2)).toEqual(expected);
  });

  it('restores an optimizer that is only compiled afterwards', async () => {
    const model = compiled();
    await train(model, 3);
    const prefix = join(directory, 'deferred');
    await new Checkpoint({ model }, { adapters }).write(prefix);
    const expected = await train(model, 3);

    const fresh = network();
    const status = await new Checkpoint({ model: fresh }, { adapters }).read(prefix);
    expect(status.unmatchedKeys.length).toBeGreaterThan(0);
    fresh.compile({ optimizer: tf.train.adam(0.5), loss: 'meanSquaredError' });
    await status.applyDeferred();
    status.assertConsumed();
    expect(await train(fresh, 3)).toEqual(expected);
  });
});

/** The same weights, with an optimizer of its own. */
function compiledLike(model: tf.Sequential): tf.Sequential {
  const twin = compiled(model.getWeights()[1]!.size);
  twin.setWeights(model.getWeights());
  return twin;
}
