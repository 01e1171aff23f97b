import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { Counter } from '../../src/checkpoint/index.ts';
import { latestCheckpoint } from '../../src/manager/index.ts';
import { backupAndRestore } from '../../src/tfjs/index.ts';
import { compileChild, startChild } from '../support/child.ts';
import { testDirectories } from '../support/directory.ts';
import { BATCHES, createModel, digest, EPOCHS, type Kind, train } from './fitting.ts';

const directory = testDirectories();
const TOTAL = BATCHES * EPOCHS;

interface Result {
  readonly history: Record<string, number[]>;
  readonly epoch: number[];
  readonly weights: string;
  readonly trained: number;
}

type Death = { epoch: number; batch: number; signal: NodeJS.Signals } | null;

async function run(where: string, kind: Kind, saveFreq: string | number, death: Death, mode = 'sync') {
  const script = await compileChild(new URL('./backup-child.ts', import.meta.url));
  const child = startChild(script, [where, kind, String(saveFreq), JSON.stringify(death), mode]);
  const [output, [code, signal]] = await Promise.all([text(child.stdout!), once(child, 'exit')]);
  const line = output.split('\n').find((one) => one.startsWith('{'));
  return { code, signal, result: line === undefined ? undefined : (JSON.parse(line) as Result) };
}

const straight = new Map<Kind, Result>();

beforeAll(async () => {
  await tf.setBackend('cpu');
  for (const kind of ['fit', 'dataset', 'repeat'] as const) {
    const { result } = await run('', kind, 'epoch', null);
    expect(result).toMatchObject({ trained: TOTAL, epoch: [0, 1, 2, 3] });
    straight.set(kind, result!);
  }
});

/** A death of the process before batch `batch` of epoch `epoch`, both counted from 0. */
const at = (epoch: number, batch: number, signal: NodeJS.Signals = 'SIGKILL') => ({ epoch, batch, signal });

describe('a training that died, called again in a new process, is one that never died, to the bit:', () => {
  it.each<[what: string, Kind, saveFreq: string | number, Death[], trained: number]>([
    ['model.fit, a save every 2 batches', 'fit', 2, [at(2, 3)], TOTAL - 12],
    ['model.fit, killed twice', 'fit', 3, [at(0, 4), at(3, 2)], TOTAL - 15],
    ['model.fit, a save every epoch', 'fit', 'epoch', [at(2, 3)], TOTAL - 10],
    ['model.fit, killed before the first save', 'fit', 'epoch', [at(0, 2)], TOTAL],
    ['model.fit, between the last batch of an epoch and its end', 'fit', 5, [at(2, 0)], TOTAL - 10],
    ['fitDataset with a seeded shuffle, every 3 batches', 'dataset', 3, [at(2, 3)], TOTAL - 12],
    ['fitDataset with batchesPerEpoch, every 3 batches', 'repeat', 3, [at(2, 3)], TOTAL - 12],
  ])('%s', async (_what, kind, saveFreq, deaths, trained) => {
    const where = directory();
    for (const death of deaths) {
      expect(await run(where, kind, saveFreq, death)).toEqual({ code: null, signal: 'SIGKILL', result: undefined });
    }
    const { code, result } = await run(where, kind, saveFreq, null);
    expect(code).toBe(0);
    expect(result).toEqual({ ...straight.get(kind), trained });
    // Success deletes the backup.
    expect(readdirSync(where)).toEqual([]);
  });

  it('saves in the background, of which the last may be lost', async () => {
    const where = directory();
    for (const death of [at(1, 3), at(3, 1)]) {
      expect((await run(where, 'fit', 1, death, 'async')).signal).toBe('SIGKILL');
    }
    const { result } = await run(where, 'fit', 1, null, 'async');
    expect({ ...result, trained: 0 }).toEqual({ ...straight.get('fit'), trained: 0 });
    expect(result!.trained).toBeLessThan(TOTAL - 8);
  });

  it('SIGTERM saves after the batch that is being trained, and ends the process', async () => {
    const where = directory();
    expect(await run(where, 'fit', 'epoch', at(1, 2, 'SIGTERM'))).toEqual({
      code: null,
      signal: 'SIGTERM',
      result: undefined,
    });
    expect(await latestCheckpoint(where)).not.toBeNull();
    const { result } = await run(where, 'fit', 'epoch', null);
    expect(result).toEqual({ ...straight.get('fit'), trained: TOTAL - BATCHES - 3 });
  });
});

/** Throws in the middle of the third epoch. */
class Failing extends tf.Callback {
  #epochs = 0;
  override async onEpochBegin() {
    this.#epochs++;
  }
  override async onBatchBegin(batch: number) {
    if (this.#epochs === 3 && batch === 2) throw new Error('on purpose');
  }
}

async function fail(where: string, model = createModel(), objects = {}): Promise<void> {
  const backup = backupAndRestore(tf, { directory: where, saveFreq: 2, objects });
  await expect(train(model, 'fit', [backup, new Failing()])).rejects.toThrow('on purpose');
  await backup.close();
}

describe('backupAndRestore', () => {
  it('lets EarlyStopping stop where it would have stopped', async () => {
    const where = directory();
    const stopping = () => tf.callbacks.earlyStopping({ monitor: 'loss', patience: 1, minDelta: 10 });
    const whole = await train(createModel(), 'fit', [stopping()]);
    expect(whole.epoch.length).toBeLessThan(EPOCHS);
    const backup = backupAndRestore(tf, { directory: where });
    // One epoch, and then the process is gone.
    await train(createModel(), 'fit', [backupAndRestore(tf, { directory: where, deleteCheckpoint: false })], 1);
    const resumed = await train(createModel(), 'fit', [backup, stopping()]);
    expect([resumed.epoch, resumed.history]).toEqual([whole.epoch, whole.history]);
  });

  it('restores what is given in objects, and goes on after a training that threw', async () => {
    const where = directory();
    await fail(where, createModel(), { seen: new Counter(17) });
    const seen = new Counter();
    const model = createModel();
    await train(model, 'fit', [backupAndRestore(tf, { directory: where, saveFreq: 2, objects: { seen } })]);
    expect(seen.value).toBe(17);
    expect(digest(model)).toBe(straight.get('fit')!.weights);
  });

  it('makes up for batches of models with several inputs and outputs', async () => {
    const create = () => {
      const inputs = [tf.input({ shape: [2] }), tf.input({ shape: [2] })];
      const dense = (units: number, seed: number) =>
        tf.layers.dense({ units, name: `out${seed}`, kernelInitializer: tf.initializers.glorotUniform({ seed }) });
      const joined = tf.layers.concatenate().apply(inputs) as tf.SymbolicTensor;
      const outputs = [1, 2].map((seed) => dense(seed, seed).apply(joined) as tf.SymbolicTensor);
      const model = tf.model({ inputs, outputs });
      model.compile({ optimizer: 'rmsprop', loss: ['meanSquaredError', 'meanAbsoluteError'], metrics: ['mse'] });
      return model;
    };
    const trainBoth = async (model: tf.LayersModel, callbacks: tf.Callback[]) => {
      const random = (shape: number[], seed: number) => tf.randomUniform(shape, 0, 1, 'float32', seed);
      const batches = tf.data.generator(function* () {
        for (let i = 1; i <= 4; i++) {
          const xs = Object.fromEntries(model.inputNames.map((name, k) => [name, random([3, 2], 10 * i + k)]));
          const ys = Object.fromEntries(model.outputNames.map((name, k) => [name, random([3, k + 1], 20 * i + k)]));
          yield { xs, ys };
        }
      } as never);
      const { history } = await model.fitDataset(batches as never, { epochs: 3, verbose: 0, callbacks });
      const weights = model.getWeights().map((weight) => Array.from(weight.dataSync()));
      return { history, weights };
    };
    const expected = await trainBoth(create(), []);
    expect(Object.keys(expected.history)).toHaveLength(5);
    const options = { directory: directory(), saveFreq: 1 };
    const backup = backupAndRestore(tf, options);
    await expect(trainBoth(create(), [backup, new Failing()])).rejects.toThrow('on purpose');
    await backup.close();
    expect(await trainBoth(create(), [backupAndRestore(tf, options)])).toEqual(expected);
  });

  it('raises what saving throws', async () => {
    const file = `${directory()}/file`;
    writeFileSync(file, '');
    const backup = backupAndRestore(tf, { directory: file });
    await expect(train(createModel(), 'fit', [backup])).rejects.toMatchObject({ path: file });
  });

  it('trains nothing, and deletes nothing before that, once all epochs are done', async () => {
    const where = directory();
    const keep = { directory: where, deleteCheckpoint: false };
    await train(createModel(), 'fit', [backupAndRestore(tf, keep)]);
    const latest = await latestCheckpoint(where);
    const model = createModel();
    const { history } = await train(model, 'fit', [backupAndRestore(tf, keep)]);
    expect(await latestCheckpoint(where)).toBe(latest);
    expect(history).toEqual(straight.get('fit')!.history);
    expect(digest(model)).toBe(straight.get('fit')!.weights);
  });

  it('leaves no tensor behind, whether the training ends, fails, or goes on', async () => {
    const where = directory();
    const model = createModel();
    await train(model, 'fit', []);
    const before = tf.memory().numTensors;
    await fail(where, model);
    await train(model, 'fit', [backupAndRestore(tf, { directory: where, saveFreq: 2 })]);
    await train(model, 'dataset', [backupAndRestore(tf, { directory: where, signals: ['SIGTERM'] })]);
    // tfjs itself leaves some when a callback throws: the batch's, and what fit() made of its arguments.
    const lost = tf.memory().numTensors - before;
    const bare = tf.memory().numTensors;
    await expect(train(model, 'fit', [new Failing()])).rejects.toThrow('on purpose');
    expect(lost).toBeLessThanOrEqual(tf.memory().numTensors - bare);
  });

  it('says what to do where tfjs would take it for a plain object', async () => {
    const backup = backupAndRestore(tf, { directory: directory() });
    const callbacks = [{ onEpochEnd: () => {} }, backup] as unknown as tf.Callback[];
    await expect(train(createModel(), 'fit', callbacks)).rejects.toThrow(/put it first/);
  });

  it.each([
    [{ saveFreq: 0 }, 'saveFreq'],
    [{ saveFreq: 'batch' }, 'saveFreq'],
    [{ signals: 'SIGTERM' }, 'signals'],
    [{ deleteCheckpoint: 1 }, 'deleteCheckpoint'],
    [{ objects: { model: 1 } }, 'objects'],
    [{ savefreq: 3 }, 'savefreq'],
  ])('refuses %j, naming the option', (options, name) => {
    const given = { directory: '/nowhere', ...options } as Parameters<typeof backupAndRestore>[1];
    expect(() => backupAndRestore(tf, given)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(() => backupAndRestore(tf, given)).toThrow(name);
  });
});
