import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { tfjs } from '../../src/tfjs/index.ts';
import { describeWithOracle, runOracle } from '../support/oracle.ts';
import { create, names, predict, step } from './keras-models.ts';

const adapters = [tfjs(tf)];
const directory = mkdtempSync(join(tmpdir(), 'tensor-checkpoint-keras-models-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Adadelta of TensorFlow.js divides by the average of the gradients before this one: its steps are not those of Keras. */
const STEPS_ANOTHER_WAY = new Set(['adadelta']);

interface Report {
  predictions: number[];
  after: number[];
  iterations: number;
}

/** Of predictions: the rounding of float32 over a few layers. */
const ROUNDING = 1e-5;
/** Behind a step: Adam makes the rounding of small gradients larger, and adds its epsilon elsewhere. Its steps are of 1e-2. */
const AFTER_STEP = 1e-3;

/** Apart by less than `tolerance`, relative to what is larger than one. */
function expectClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(actual).toHaveLength(expected.length);
  expected.forEach((value, i) => {
    expect(Math.abs(actual[i]! - value)).toBeLessThan(tolerance * Math.max(1, Math.abs(value)));
  });
}

describeWithOracle('a trained model', () => {
  const ours: Record<string, Report> = {};
  let keras: Record<string, { written: Report; restored?: Report; problem?: string }>;

  beforeAll(async () => {
    await tf.setBackend('cpu');
    for (const name of names) {
      const model = create(name);
      for (let i = 0; i < 3; i++) await step(model);
      await new Checkpoint({ model }, { adapters }).write(join(directory, `${name}-ours`));
      const predictions = predict(model);
      await step(model);
      ours[name] = { predictions, after: predict(model), iterations: model.optimizer.iterations };
    }
    const script = fileURLToPath(new URL('./keras_models.py', import.meta.url));
    keras = JSON.parse((await runOracle(script, { args: [directory] })).trim().split('\n').at(-1)!);
  }, 180_000);

  it.each(names)('is restored by Keras 3, predicts the same and trains on the same: %s', (name) => {
    const { restored, problem } = keras[name]!;
    expect(problem).toBeUndefined();
    expectClose(restored!.predictions, ours[name]!.predictions, ROUNDING);
    if (!STEPS_ANOTHER_WAY.has(name)) expectClose(restored!.after, ours[name]!.after, AFTER_STEP);
    expect(restored!.iterations).toBe(4);
  });

  it.each(names)('of Keras 3 is restored here, predicts the same and trains on the same: %s', async (name) => {
    const model = create(name);
    const status = await new Checkpoint({ model }, { adapters }).read(join(directory, `${name}-keras`));
    status.assertConsumed();
    const { written } = keras[name]!;
    expectClose(predict(model), written.predictions, ROUNDING);
    await step(model);
    if (!STEPS_ANOTHER_WAY.has(name)) expectClose(predict(model), written.after, AFTER_STEP);
    expect(model.optimizer.iterations).toBe(4);
  });
});
