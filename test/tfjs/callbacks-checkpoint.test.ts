import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { Checkpoint, Counter } from '../../src/checkpoint/index.ts';
import { getCheckpointState, latestCheckpoint, loadVariable, verifyCheckpoint } from '../../src/manager/index.ts';
import {
  backupAndRestore,
  exportTfjsModel,
  loadModel,
  type ModelCheckpointOptions,
  modelCheckpoint,
  tfjs,
} from '../../src/tfjs/index.ts';
import { testDirectories } from '../support/directory.ts';
import { createModel, digest, EPOCHS, train } from './fitting.ts';

const directory = testDirectories();

beforeAll(async () => {
  await tf.setBackend('cpu');
});

interface Training {
  epoch: number;
  batch: number | null;
  logs: Record<string, number>;
  monitor: string;
  best: number | null;
}

/** What is stored beside the model. */
async function recordOf(prefix: string): Promise<Training> {
  const { data } = await loadVariable(prefix, 'training/.ATTRIBUTES/py_state');
  return JSON.parse(new TextDecoder().decode((data as Uint8Array[])[0]));
}

async function listed(where: string): Promise<string[]> {
  const state = await getCheckpointState(where);
  return (state?.allModelCheckpointPaths ?? []).map((path) => path.slice(where.length + 1));
}

/** Logs these values of `metric`, an epoch each, in place of the training's own. */
class Scripted extends tf.Callback {
  readonly #metric: string;
  readonly #values: readonly number[];
  readonly #asScalars: boolean;

  constructor(metric: string, values: readonly number[], asScalars = false) {
    super();
    this.#metric = metric;
    this.#values = values;
    this.#asScalars = asScalars;
  }

  override async onEpochEnd(epoch: number, logs: tf.Logs = {}) {
    const value = this.#values[epoch]!;
    (logs as Record<string, unknown>)[this.#metric] = this.#asScalars ? tf.scalar(value) : value;
  }
}

/** Which epochs (from 0) were saved as the best when a metric took this course. */
async function bestOf(options: Partial<ModelCheckpointOptions>, values: readonly number[], asScalars = false) {
  const where = directory();
  const monitor = options.monitor ?? 'score';
  const callback = modelCheckpoint(tf, {
    directory: where,
    monitor,
    saveBestOnly: true,
    maxToKeep: null,
    write: { durable: false },
    ...options,
  });
  await train(createModel(), 'fit', [new Scripted(monitor, values, asScalars), callback], values.length);
  const epochs = [];
  for (const name of await listed(where)) epochs.push((await recordOf(`${where}/${name}`)).epoch);
  return epochs;
}

describe('modelCheckpoint', () => {
  it('saves after each epoch, with the epoch and its logs, and keeps the best in a directory of its own', async () => {
    const where = directory();
    const model = createModel();
    const callback = modelCheckpoint(tf, { directory: where, monitor: 'score', mode: 'max', maxToKeep: 2 });
    const { history } = await train(model, 'fit', [new Scripted('score', [1, 5, 3, 4]), callback]);
    expect(await listed(where)).toEqual(['ckpt-3', 'ckpt-4']);
    expect(await listed(`${where}/best`)).toEqual(['ckpt-2']);
    const { logs, ...last } = await recordOf(`${where}/ckpt-4`);
    expect(last).toEqual({ epoch: 3, batch: null, monitor: 'score', best: 5 });
    expect(logs).toEqual(Object.fromEntries(Object.entries(history).map(([name, values]) => [name, values[3]])));
    expect(await recordOf(`${where}/best/ckpt-2`)).toMatchObject({ epoch: 1, best: 5, logs: { score: 5 } });
    expect(await verifyCheckpoint(`${where}/best/ckpt-2`)).toMatchObject({ ok: true });
  });

  it('keeps the best as hard links: its bytes are on the disk once', async () => {
    const where = directory();
    const callback = modelCheckpoint(tf, { directory: where, monitor: 'score', maxToKeep: 2 });
    await train(createModel(), 'fit', [new Scripted('score', [3, 2, 4]), callback], 3);
    const inodes = (at: string) =>
      readdirSync(at).flatMap((name) => (name.startsWith('ckpt-2.') ? statSync(`${at}/${name}`).ino : []));
    expect(inodes(`${where}/best`)).toHaveLength(2);
    expect(inodes(`${where}/best`)).toEqual(inodes(where));
  });

  it('keeps the best as what a browser can have, and another process can go on from', async () => {
    const where = directory();
    const model = createModel();
    await train(model, 'fit', [modelCheckpoint(tf, { directory: where, monitor: 'loss' })]);
    const loaded = await loadModel(tf, `${where}/best`);
    expect(digest(loaded)).toBe(digest(model));
    const { path } = await exportTfjsModel(`${where}/best`, `${where}/public`);
    expect(JSON.parse(readFileSync(path, 'utf8')).weightsManifest[0].weights).toHaveLength(model.weights.length);
    await train(model, 'fit', []);
    await train(loaded as tf.Sequential, 'fit', []);
    expect(digest(loaded)).toBe(digest(model));
  });

  it.each([true, false])('tells of a save that fails, once (in the background: %s)', async (enableAsync) => {
    const where = directory();
    const broken = { serialize: () => 'x', deserialize() {} };
    const callback = modelCheckpoint(tf, {
      directory: where,
      monitor: 'loss',
      objects: { broken },
      write: { enableAsync },
    });
    broken.serialize = () => {
      throw new Error('not today');
    };
    await expect(train(createModel(), 'fit', [callback])).rejects.toThrow(/not today/);
    await callback.close();
    expect(readdirSync(where).filter((name) => name.startsWith('ckpt'))).toEqual([]);
  });

  it('never loses the best to retention, also where each save deletes the one before', async () => {
    const where = directory();
    const options = { directory: where, monitor: 'score', maxToKeep: 1, write: { durable: false } };
    await train(createModel(), 'fit', [new Scripted('score', [6, 5, 4, 3, 9]), modelCheckpoint(tf, options)], 5);
    expect(await listed(where)).toEqual(['ckpt-5']);
    expect(await listed(`${where}/best`)).toEqual(['ckpt-4']);
    expect(await verifyCheckpoint(`${where}/best/ckpt-4`)).toMatchObject({ ok: true });
    const status = await new Checkpoint({ model: createModel() }, { adapters: [tfjs(tf)] }).read(
      `${where}/best/ckpt-4`,
    );
    status.assertExistingObjectsMatched();
  });

  it('links the best after a training that died between its save and the link', async () => {
    const where = directory();
    const options = { directory: where, monitor: 'score', maxToKeep: null };
    await train(createModel(), 'fit', [new Scripted('score', [5, 3]), modelCheckpoint(tf, options)], 2);
    // As it was before the link of ckpt-2, of which nothing had been made but its mark and one name.
    rmSync(`${where}/best`, { recursive: true });
    await train(createModel(), 'fit', [new Scripted('score', [4]), modelCheckpoint(tf, options)], 1);
    expect(await listed(`${where}/best`)).toEqual(['ckpt-2']);
    expect((await recordOf(`${where}/ckpt-3`)).best).toBe(3);
  });

  it('raises that the best can not be linked', async () => {
    const where = directory();
    writeFileSync(`${where}/best`, 'a file in its place');
    const callback = modelCheckpoint(tf, { directory: where, monitor: 'score' });
    const training = train(createModel(), 'fit', [new Scripted('score', [5, 3]), callback], 2);
    await expect(training).rejects.toMatchObject({ path: expect.stringContaining('best') });
    await callback.close();
  });

  it('saves what a Sequential and a functional model of the same layers can restore, optimizer included', async () => {
    const where = directory();
    const model = createModel();
    await train(model, 'fit', [modelCheckpoint(tf, { directory: where })]);
    const weights = digest(model);
    const latest = await latestCheckpoint(where);
    await train(model, 'fit', []);
    const further = digest(model);

    const sequential = createModel();
    const functional = tf.model({ inputs: sequential.inputs, outputs: sequential.outputs });
    functional.compile({ optimizer: tf.train.adam(0.5), loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
    const adapters = [tfjs(tf)];
    const other = createModel();
    (await new Checkpoint({ model: other }, { adapters }).restore(latest)).assertExistingObjectsMatched();
    expect(digest(other)).toBe(weights);
    await train(other, 'fit', []);
    expect(digest(other)).toBe(further);

    (await new Checkpoint({ model: functional }, { adapters }).restore(latest)).assertExistingObjectsMatched();
    expect(digest(functional)).toBe(weights);
    await train(functional as tf.Sequential, 'fit', []);
    expect(digest(functional)).toBe(further);
  });

  it.each<[string, Partial<ModelCheckpointOptions>, number[], number[]]>([
    ['min', { mode: 'min' }, [3, 4, 2, 2, 1], [0, 2, 4]],
    ['max', { mode: 'max' }, [3, 4, 2, 4, 5], [0, 1, 4]],
    ['auto downwards', {}, [3, 4, 2], [0, 2]],
    ['auto upwards for an accuracy', { monitor: 'my_acc' }, [3, 4, 2], [0, 1]],
    ['auto upwards for an f-measure', { monitor: 'fmeasure_1' }, [3, 4, 2], [0, 1]],
    ['a threshold to begin with', { initialValueThreshold: 2 }, [3, 2, 1], [2]],
    ['never NaN', {}, [Number.NaN, 3, Number.NaN, 2], [1, 3]],
    ['infinity as a number', { mode: 'max' }, [Number.NEGATIVE_INFINITY, 1, Number.POSITIVE_INFINITY], [0, 1, 2]],
  ])('saves the best only: %s', async (_what, options, values, expected) => {
    expect(await bestOf(options, values)).toEqual(expected);
  });

  it('resolves logs that are Scalars, and leaves them to the training', async () => {
    expect(await bestOf({}, [3, 4, 2], true)).toEqual([0, 2]);
  });

  it('goes on in a directory: with the best value, the last number, and what is best kept', async () => {
    const where = directory();
    const options = { directory: where, monitor: 'score', saveBestOnly: true, maxToKeep: null };
    await train(createModel(), 'fit', [new Scripted('score', [5, 3]), modelCheckpoint(tf, options)], 2);
    await train(createModel(), 'fit', [new Scripted('score', [4, 2, 9]), modelCheckpoint(tf, options)], 3);
    expect(await listed(where)).toEqual(['ckpt-1', 'ckpt-2', 'ckpt-3']);
    expect((await recordOf(`${where}/ckpt-3`)).best).toBe(2);
    expect(await listed(`${where}/best`)).toEqual(['ckpt-3']);
  });

  it('goes on from the last number where the last checkpoint is damaged, and says so', async () => {
    const where = directory();
    const options = { directory: where, monitor: 'score', maxToKeep: null };
    await train(createModel(), 'fit', [new Scripted('score', [2, 3]), modelCheckpoint(tf, options)], 2);
    truncateSync(`${where}/ckpt-2.index`, 10);
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    try {
      await train(createModel(), 'fit', [new Scripted('score', [4]), modelCheckpoint(tf, options)], 1);
      expect(warned.mock.calls.map(([message]) => String(message))).toEqual([expect.stringContaining('ckpt-2')]);
    } finally {
      warned.mockRestore();
    }
    expect(await listed(where)).toEqual(['ckpt-1', 'ckpt-2', 'ckpt-3']);
    expect(await recordOf(`${where}/ckpt-3`)).toMatchObject({ best: 2, logs: { score: 4 } });
    expect(await listed(`${where}/best`)).toEqual(['ckpt-1']);
  });

  it('raises what saving throws', async () => {
    const file = `${directory()}/file`;
    writeFileSync(file, '');
    const callback = modelCheckpoint(tf, { directory: file });
    await expect(train(createModel(), 'fit', [callback])).rejects.toMatchObject({ path: file });
  });

  it('saves every so many batches, counted across epochs, by the logs of the batch', async () => {
    const where = directory();
    const callback = modelCheckpoint(tf, { directory: where, monitor: 'loss', saveFreq: 3, maxToKeep: null });
    await train(createModel(), 'fit', [callback]);
    const places = [];
    for (const name of await listed(where)) {
      const { epoch, batch, logs } = await recordOf(`${where}/${name}`);
      expect(logs.loss).toBeGreaterThan(0);
      expect(Object.keys(logs)).toEqual(['loss', 'acc']);
      places.push([epoch, batch]);
    }
    // 20 batches, 5 an epoch.
    expect(places).toEqual([
      [0, 2],
      [1, 0],
      [1, 3],
      [2, 1],
      [2, 4],
      [3, 2],
    ]);
  });

  it('saves nothing a second time while backupAndRestore makes up for a training that died', async () => {
    const [backup, where] = [directory(), directory()];
    const callbacks = (deleteCheckpoint: boolean) => [
      backupAndRestore(tf, { directory: backup, deleteCheckpoint }),
      modelCheckpoint(tf, { directory: where, maxToKeep: null }),
    ];
    await train(createModel(), 'fit', callbacks(false), 2);
    await train(createModel(), 'fit', callbacks(true), EPOCHS);
    const epochs = [];
    for (const name of await listed(where)) epochs.push((await recordOf(`${where}/${name}`)).epoch);
    expect(epochs).toEqual([0, 1, 2, 3]);
  });

  it('warns once, and saves nothing, where saveBestOnly has no value to go by', async () => {
    const where = directory();
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    try {
      await train(createModel(), 'fit', [
        modelCheckpoint(tf, { directory: where, monitor: 'nope', saveBestOnly: true }),
      ]);
      expect(warned.mock.calls.filter(([message]) => String(message).includes("'nope' isn't logged"))).toHaveLength(1);
    } finally {
      warned.mockRestore();
    }
    expect(await latestCheckpoint(where)).toBeNull();
  });

  it('saves other objects beside the model, and says what it does where asked', async () => {
    const where = directory();
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    const objects = { seen: new Counter(42) };
    let lines: string[];
    try {
      const callback = modelCheckpoint(tf, { directory: where, monitor: 'loss', verbose: 1, objects });
      await train(createModel(), 'fit', [callback], 1);
    } finally {
      lines = log.mock.calls.map(([line]) => String(line));
      log.mockRestore();
    }
    expect(lines).toEqual([expect.stringMatching(/^Epoch 1: loss improved from none to [\d.]+, saved .*ckpt-1$/)]);
    const stored = await loadVariable(where, 'seen/.ATTRIBUTES/VARIABLE_VALUE');
    expect((stored.data as BigInt64Array)[0]).toBe(42n);
  });

  it('leaves no tensor behind', async () => {
    const where = directory();
    const model = createModel();
    await train(model, 'fit', []);
    const before = tf.memory().numTensors;
    await train(model, 'fit', [modelCheckpoint(tf, { directory: where, saveFreq: 2, monitor: 'loss' })]);
    await train(model, 'dataset', [modelCheckpoint(tf, { directory: where })]);
    expect(tf.memory().numTensors).toBe(before);
  });

  it.each([
    [{ mode: 'up' }, 'mode'],
    [{ saveFreq: 1.5 }, 'saveFreq'],
    [{ initialValueThreshold: Number.NaN }, 'initialValueThreshold'],
    [{ monitor: '' }, 'monitor'],
    [{ verbose: true }, 'verbose'],
    [{ objects: { training: 1 } }, 'objects'],
    [{ saveWeightsOnly: true }, 'saveWeightsOnly'],
  ])('refuses %j, naming the option', (options, name) => {
    const given = { directory: '/nowhere', ...options } as ModelCheckpointOptions;
    expect(() => modelCheckpoint(tf, given)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(() => modelCheckpoint(tf, given)).toThrow(name);
  });
});
