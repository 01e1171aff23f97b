/**
 * A training loop of resumable.test.ts over a shuffled dataset: directory, and the step at which to be killed (0: not).
 * Saves every third step. Prints each batch as it is trained, and a digest of the weights at the end.
 */
import { writeSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { Checkpoint, Counter } from '../../src/checkpoint/index.ts';
import { CheckpointManager } from '../../src/manager/index.ts';
import { resumable, tfjs } from '../../src/tfjs/index.ts';
import { createModel, data, digest } from './fitting.ts';

const [directory, death] = process.argv.slice(2) as [string, string];
await tf.setBackend('cpu');
const { x, y } = data();
const rows = (tensor: tf.Tensor2D) => tf.data.array(tensor.arraySync());
const batches = resumable(
  tf.data
    .zip({ id: tf.data.array([...Array(20).keys()]), xs: rows(x), ys: rows(y) })
    .shuffle(20, 'seed')
    .batch(4) as unknown as tf.data.Dataset<{ id: tf.Tensor; xs: tf.Tensor; ys: tf.Tensor }>,
);
const model = createModel();
const step = new Counter();
const checkpoint = new Checkpoint({ model, batches, step }, { adapters: [tfjs(tf)] });
const manager = new CheckpointManager(checkpoint, {
  directory,
  maxToKeep: 2,
  stepCounter: step,
  checkpointInterval: 3,
  lastCheckpointStep: 0,
});
await manager.restoreOrInitialize();
while (batches.pass < 4) {
  for await (const { id, xs, ys } of batches) {
    await model.trainOnBatch(xs, ys);
    writeSync(1, `${batches.pass}: ${id.dataSync().join(' ')}\n`);
    tf.dispose([id, xs, ys]);
    if (step.increment() === Number(death)) process.kill(process.pid, 'SIGKILL');
    await manager.save();
  }
}
await manager.close();
writeSync(1, `${digest(model)}\n`);
