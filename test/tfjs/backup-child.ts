/**
 * A training process of callbacks-backup.test.ts: directory (or '' for no backup), kind, saveFreq, and as JSON when and
 * how to die, and 'async' for saves in the background. Prints, if it gets so far, what fit() returned, a digest of the weights, and how many batches were trained.
 */
import * as tf from '@tensorflow/tfjs';
import { backupAndRestore } from '../../src/tfjs/index.ts';
import { createModel, digest, type Kind, train } from './fitting.ts';

const [directory, kind, saveFreq, death, mode] = process.argv.slice(2) as [string, Kind, string, string, string];
const dies = JSON.parse(death) as { epoch: number; batch: number; signal: NodeJS.Signals } | null;

await tf.setBackend('cpu');
// Names are counted per process.
if (dies === null) createModel().dispose();

const model = createModel();
let trained = 0;
const { optimizer } = model;
const apply = optimizer.applyGradients.bind(optimizer);
optimizer.applyGradients = (gradients) => {
  trained++;
  apply(gradients);
};

class Death extends tf.Callback {
  #epoch = 0;
  override async onEpochBegin(epoch: number) {
    this.#epoch = epoch;
  }
  override async onBatchBegin(batch: number) {
    if (dies === null || this.#epoch !== dies.epoch || batch !== dies.batch) return;
    process.kill(process.pid, dies.signal);
    // A signal that is listened to comes with the next turn of the event loop.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const backup = () =>
  backupAndRestore(tf, {
    directory,
    saveFreq: saveFreq === 'epoch' ? 'epoch' : Number(saveFreq),
    signals: ['SIGTERM'],
    write: { enableAsync: mode === 'async' },
  });
const { history, epoch } = await train(model, kind, [...(directory === '' ? [] : [backup()]), new Death()]);
console.log(JSON.stringify({ history, epoch, weights: digest(model), trained }));
