import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { tfjs } from '../../src/tfjs/index.ts';
import { describeWithOracle, runOracle } from '../support/oracle.ts';

const adapters = [tfjs(tf)];
const directory = mkdtempSync(join(tmpdir(), 'tensor-checkpoint-keras-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** The model of keras_runner.py. Defaults that differ from Keras 3's are given. */
function create(): tf.Sequential {
  const model = tf.sequential({
    layers: [
      tf.layers.lstm({ units: 3, returnSequences: true, recurrentActivation: 'sigmoid', inputShape: [4, 3] }),
      // Without bias: its gradient before a batch normalization is rounding error, which Adam makes large.
      tf.layers.conv1d({ filters: 4, kernelSize: 2, padding: 'same', useBias: false }),
      tf.layers.batchNormalization(),
      tf.layers.dropout({ rate: 0 }),
      tf.layers.bidirectional({
        layer: tf.layers.simpleRNN({ units: 2 }) as tf.RNN,
        mergeMode: 'concat',
      }),
      tf.layers.dense({ units: 2 }),
    ],
  });
  model.compile({ optimizer: tf.train.adam(0.01), loss: 'meanSquaredError' });
  return model;
}

const inputs = () =>
  tf.tensor3d(
    Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)),
    [2, 4, 3],
  );
const labels = () => tf.ones([2, 2]);
const predict = (model: tf.Sequential) => Array.from((model.predict(inputs()) as tf.Tensor).dataSync());

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 3);
}

interface Report {
  restored: { predictions: number[]; iterations: number; learning_rate: number; after_a_step: number[] };
  written: { predictions: number[]; after_a_step: number[] };
}

describeWithOracle('a Sequential with its Adam', () => {
  let ours: { predictions: number[]; afterAStep: number[] };
  let report: Report;

  beforeAll(async () => {
    await tf.setBackend('cpu');
    const model = create();
    for (let i = 0; i < 3; i++) await model.trainOnBatch(inputs(), labels());
    await new Checkpoint({ model }, { adapters }).write(join(directory, 'ours'));
    ours = { predictions: predict(model), afterAStep: [] };
    await model.trainOnBatch(inputs(), labels());
    ours.afterAStep = predict(model);
    const script = fileURLToPath(new URL('./keras_runner.py', import.meta.url));
    report = JSON.parse((await runOracle(script, { args: [directory] })).trim().split('\n').at(-1)!) as Report;
  }, 120_000);

  it('saved here is restored by Keras 3 and trains on there', () => {
    expect(report.restored.iterations).toBe(3);
    expect(report.restored.learning_rate).toBeCloseTo(0.01, 7);
    expectClose(report.restored.predictions, ours.predictions);
    expectClose(report.restored.after_a_step, ours.afterAStep);
  });

  it('saved by Keras 3 is restored here and trains on', async () => {
    const model = create();
    const status = await new Checkpoint({ model }, { adapters }).read(join(directory, 'keras'));
    expect(status.unmatchedKeys).toEqual([]);
    // Keras has no running powers: they are computed from the iterations.
    status.assertExistingObjectsMatched();
    expectClose(predict(model), report.written.predictions);
    await model.trainOnBatch(inputs(), labels());
    expectClose(predict(model), report.written.after_a_step);
    expect(model.optimizer.iterations).toBe(4);
  });
});
