import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { latestCheckpoint, verifyCheckpoint } from '../../src/manager/index.ts';
import {
  describeCheckpoint,
  exportTfjsModel,
  importTfjsModel,
  loadModel,
  registerCheckpointRouter,
  tfjs,
} from '../../src/tfjs/index.ts';
import { testDirectories } from '../support/directory.ts';

const adapters = [tfjs(tf)];
const directory = testDirectories();

beforeAll(async () => {
  await tf.setBackend('cpu');
  registerCheckpointRouter(tf);
});

function create(): tf.LayersModel {
  const image = tf.input({ shape: [6, 6, 2] });
  const tokens = tf.input({ shape: [5], dtype: 'int32' });
  const conv = tf.layers.conv2d({ filters: 3, kernelSize: 3 }).apply(image);
  const left = tf.layers.flatten().apply(tf.layers.batchNormalization().apply(conv)) as tf.SymbolicTensor;
  const embedded = tf.layers.embedding({ inputDim: 50, outputDim: 4 }).apply(tokens);
  const right = tf.layers
    .bidirectional({ layer: tf.layers.lstm({ units: 3 }) as tf.RNN, mergeMode: 'concat' })
    .apply(embedded);
  const joined = tf.layers.concatenate().apply([left, right as tf.SymbolicTensor]);
  const model = tf.model({
    inputs: [image, tokens],
    outputs: tf.layers.dense({ units: 2 }).apply(joined) as tf.SymbolicTensor,
  });
  model.setUserDefinedMetadata({ made: 'here' });
  model.compile({ optimizer: tf.train.adam(0.01), loss: 'meanSquaredError' });
  return model;
}

async function trained(): Promise<tf.LayersModel> {
  const model = create();
  const inputs = [tf.ones([2, 6, 6, 2]), tf.ones([2, 5], 'int32')];
  for (let i = 0; i < 2; i++) await model.trainOnBatch(inputs, tf.ones([2, 2]));
  return model;
}

const bits = (model: tf.LayersModel) => model.getWeights().map((weight) => Array.from(weight.dataSync()));

async function saved(model: tf.LayersModel): Promise<string> {
  return await new Checkpoint({ model }, { adapters }).write(join(directory(), 'ckpt'));
}

/** Reads a model.json as a browser's loader does. */
const filesHandler = (where: string): tf.io.IOHandler => ({
  async load() {
    const { modelTopology, weightsManifest, userDefinedMetadata } = JSON.parse(
      readFileSync(join(where, 'model.json'), 'utf8'),
    );
    const bytes = Buffer.concat(weightsManifest[0].paths.map((name: string) => readFileSync(join(where, name))));
    const weightData = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
    return { modelTopology, userDefinedMetadata, weightSpecs: weightsManifest[0].weights, weightData };
  },
});

describe('exportTfjsModel', () => {
  it.each([1, 100, 4096, 4 << 20])(
    'writes what tf.loadLayersModel loads to the bit, in files of %i bytes',
    async (shardBytes) => {
      const model = await trained();
      const where = join(directory(), 'public', 'model');
      const prefix = await saved(
        shardBytes === 1 ? tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [3] })] }) : model,
      );
      const { path, files, bytes } = await exportTfjsModel(prefix, where, { shardBytes });
      expect(path).toBe(join(where, 'model.json'));
      expect(readdirSync(where).sort()).toEqual(['model.json', ...files].sort());
      expect(files.length).toBe(Math.ceil(bytes / shardBytes));
      const loaded = await tf.loadLayersModel(filesHandler(where));
      if (shardBytes === 1) return;
      expect(bits(loaded)).toEqual(bits(model));
      expect(loaded.getUserDefinedMetadata()).toEqual({ made: 'here' });
      expect(readFileSync(path, 'utf8')).not.toContain('optimizer_config');
    },
  );

  it('replaces an export in one step and leaves other files alone', async () => {
    const where = directory();
    writeFileSync(join(where, 'index.html'), 'mine');
    const first = await exportTfjsModel(await saved(await trained()), where);
    const model = await trained();
    const prefix = await saved(model);
    const second = await exportTfjsModel(prefix, where);
    expect(readdirSync(where).sort()).toEqual(['index.html', 'model.json', ...second.files].sort());
    expect(second.files).not.toEqual(first.files);
    expect(bits(await tf.loadLayersModel(filesHandler(where)))).toEqual(bits(model));
    // The same again: never written over.
    const third = await exportTfjsModel(prefix, where);
    expect(third.files).not.toEqual(second.files);
    expect(bits(await tf.loadLayersModel(filesHandler(where)))).toEqual(bits(model));
  });

  it('leaves what was there where the checkpoint is damaged, also in a weight that files cut', async () => {
    const where = directory();
    const model = await trained();
    const before = await exportTfjsModel(await saved(model), where);
    for (const shardBytes of [64, 4 << 20]) {
      const prefix = await saved(await trained());
      const data = `${prefix}.data-00000-of-00001`;
      const bytes = readFileSync(data);
      const { weights } = JSON.parse(readFileSync(before.path, 'utf8')).weightsManifest[0];
      expect(weights.length).toBeGreaterThan(5);
      const { openBundle } = await import('../../src/bundle/index.ts');
      const bundle = await openBundle(prefix);
      const key = [...bundle.entries.keys()].find((name) => name.includes('embeddings'))!;
      bytes[bundle.info(key).offset! + 5]! ^= 1;
      writeFileSync(data, bytes);
      await expect(exportTfjsModel(prefix, where, { shardBytes })).rejects.toMatchObject({ code: 'DATA_LOSS' });
      expect(readdirSync(where).sort()).toEqual(['model.json', ...before.files].sort());
    }
    expect(bits(await tf.loadLayersModel(filesHandler(where)))).toEqual(bits(model));
  });

  it('says what it can not export', async () => {
    const variable = tf.variable(tf.scalar(1));
    const prefix = await new Checkpoint({ variable }, { adapters }).write(join(directory(), 'ckpt'));
    await expect(exportTfjsModel(prefix, directory())).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(exportTfjsModel(prefix, directory(), { shardBytes: 0 })).rejects.toThrow(/shardBytes/);
    await expect(exportTfjsModel(prefix, '')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('importTfjsModel', () => {
  it.each([64, 4 << 20])(
    'makes a checkpoint of a model.json with files of %i bytes, without tf',
    async (shardBytes) => {
      const model = await trained();
      const where = directory();
      await exportTfjsModel(await saved(model), where, { shardBytes });
      const prefix = await importTfjsModel(where, join(directory(), 'new', 'ckpt-0'));
      expect(await verifyCheckpoint(prefix)).toMatchObject({ ok: true });
      expect((await describeCheckpoint(prefix)).models[0]).toMatchObject({
        className: 'Model',
        userDefinedMetadata: { made: 'here' },
      });
      expect(bits(await loadModel(tf, prefix))).toEqual(bits(model));
      // Into a model whose layers have the same names.
      const same = await tf.loadLayersModel(filesHandler(where));
      same.setWeights(same.getWeights().map((weight) => tf.zerosLike(weight)));
      (await new Checkpoint({ model: same }, { adapters }).read(prefix)).assertExistingObjectsMatched();
      expect(bits(same)).toEqual(bits(model));
      // And out again.
      const again = directory();
      await exportTfjsModel(prefix, again);
      expect(bits(await tf.loadLayersModel(filesHandler(again)))).toEqual(bits(model));
    },
  );

  it('reads groups of weights, files in folders, and leaves the state of an optimizer out', async () => {
    const where = directory();
    mkdirSync(join(where, 'w'));
    const floats = (...values: number[]) => Buffer.from(Float32Array.from(values).buffer);
    writeFileSync(join(where, 'w', 'a'), floats(1, 2));
    writeFileSync(join(where, 'w', 'b'), floats(3, 4));
    const { modelTopology } = await artifactsOf(
      tf.sequential({ layers: [tf.layers.dense({ name: 'one', units: 1, inputShape: [2] })] }),
    );
    const weightsManifest = [
      { paths: ['w/a'], weights: [{ name: 'one/kernel', shape: [2, 1], dtype: 'float32' }] },
      {
        paths: ['w/b'],
        weights: [
          { name: 'one/bias', shape: [1], dtype: 'float32' },
          { name: 'iter', shape: [], dtype: 'float32', group: 'optimizer' },
        ],
      },
    ];
    writeFileSync(
      join(where, 'model.json'),
      JSON.stringify({ format: 'layers-model', modelTopology, weightsManifest }),
    );
    const prefix = await importTfjsModel(join(where, 'model.json'), join(directory(), 'ckpt'));
    expect(bits(await loadModel(tf, prefix))).toEqual([[1, 2], [3]]);
    expect((await describeCheckpoint(prefix)).tensors).toBe(3);
  });

  it.each<[string, object, string]>([
    ['a graph model', { format: 'graph-model', modelTopology: {}, weightsManifest: [] }, 'UNSUPPORTED'],
    ['no topology', { weightsManifest: [] }, 'UNSUPPORTED'],
    ['no manifest', { modelTopology: {} }, 'DATA_LOSS'],
    [
      'quantized weights',
      manifest({ name: 'a', shape: [2], dtype: 'float32', quantization: { dtype: 'uint8', scale: 1, min: 0 } }),
      'UNSUPPORTED',
    ],
    ['a file elsewhere', manifest({ name: 'a', shape: [1], dtype: 'float32' }, '../../etc/passwd'), 'DATA_LOSS'],
    ['an absolute file', manifest({ name: 'a', shape: [1], dtype: 'float32' }, '/etc/passwd'), 'DATA_LOSS'],
    ['a missing file', manifest({ name: 'a', shape: [1], dtype: 'float32' }, 'nothing'), 'NOT_FOUND'],
    ['files that are too long', manifest({ name: 'a', shape: [1], dtype: 'float32' }), 'DATA_LOSS'],
    ['files that are too short', manifest({ name: 'a', shape: [3], dtype: 'float32' }), 'DATA_LOSS'],
    ['a negative shape', manifest({ name: 'a', shape: [-2], dtype: 'float32' }), 'DATA_LOSS'],
    ['a dtype nobody has', manifest({ name: 'a', shape: [2], dtype: 'float128' }), 'UNSUPPORTED'],
    ['weights that are none', manifest(null), 'DATA_LOSS'],
  ])('refuses %s and leaves nothing', async (_, json, code) => {
    const where = directory();
    writeFileSync(join(where, 'model.json'), JSON.stringify(json));
    writeFileSync(join(where, 'weights.bin'), Buffer.alloc(8));
    const prefix = join(directory(), 'ckpt');
    await expect(importTfjsModel(where, prefix)).rejects.toMatchObject({ code });
    expect(readdirSync(join(prefix, '..'))).toEqual([]);
  });

  it('refuses to write over a checkpoint', async () => {
    const where = directory();
    const prefix = await saved(await trained());
    await exportTfjsModel(prefix, where);
    await expect(importTfjsModel(where, prefix)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await verifyCheckpoint(prefix)).toMatchObject({ ok: true });
  });
});

describe('ckpt://', () => {
  it('saves the next checkpoint of a directory, and loads the latest', async () => {
    const where = directory();
    const model = await trained();
    const result = await model.save(`ckpt://${where}`);
    expect(result.modelArtifactsInfo.modelTopologyType).toBe('JSON');
    expect(bits(await tf.loadLayersModel(`ckpt://${where}`))).toEqual(bits(model));
    const other = await trained();
    await other.save(`ckpt://${where}`);
    expect(await latestCheckpoint(where)).toBe(join(where, 'ckpt-2'));
    expect(bits(await tf.loadLayersModel(`ckpt://${where}`))).toEqual(bits(other));
    expect(bits(await tf.loadLayersModel(`ckpt://${where}/ckpt-1`))).toEqual(bits(model));
    expect(await verifyCheckpoint(join(where, 'ckpt-1'))).toMatchObject({ ok: true });
    expect(bits(await loadModel(tf, where))).toEqual(bits(other));
  });

  it('keeps the optimizer where it is asked to', async () => {
    const where = directory();
    const model = await trained();
    await model.save(`ckpt://${where}`, { includeOptimizer: true });
    for (const loaded of [await tf.loadLayersModel(`ckpt://${where}`), await loadModel(tf, where)]) {
      expect(loaded.optimizer.iterations).toBe(2);
      const slots = async (of: tf.LayersModel) =>
        (await of.optimizer.getWeights()).map(({ tensor }) => Array.from(tensor.dataSync()));
      expect(await slots(loaded)).toEqual(await slots(model));
    }
    expect((await loadModel(tf, where, { compile: false })).optimizer ?? null).toBeNull();
  });

  it('loads what a Checkpoint has saved', async () => {
    const model = await trained();
    const loaded = await tf.loadLayersModel(`ckpt://${await saved(model)}`);
    expect(bits(loaded)).toEqual(bits(model));
    expect(loaded.optimizer ?? null).toBeNull();
  });

  it('says what is not there, and leaves other schemes alone', async () => {
    await expect(tf.loadLayersModel(`ckpt://${directory()}`)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(tf.io.getSaveHandlers('elsewhere://x')).toEqual([]);
    registerCheckpointRouter(tf);
    expect(tf.io.getSaveHandlers('ckpt://x')).toHaveLength(1);
    expect(() => registerCheckpointRouter({} as never)).toThrow(/io.registerSaveRouter/);
    expect(() => registerCheckpointRouter(tf, { keep: 1 } as never)).toThrow(/keep/);
  });

  it('of a save that fails leaves the checkpoint before it', async () => {
    const where = directory();
    const model = await trained();
    await model.save(`ckpt://${where}`);
    const handler = tf.io.getSaveHandlers(`ckpt://${where}`)[0]!;
    const artifacts = await artifactsOf(model);
    const short = { ...artifacts, weightData: (artifacts.weightData as ArrayBuffer).slice(8) };
    await expect(handler.save!(short)).rejects.toMatchObject({ code: 'DATA_LOSS' });
    expect(await latestCheckpoint(where)).toBe(join(where, 'ckpt-1'));
    // In buffers of any length.
    const data = artifacts.weightData as ArrayBuffer;
    await handler.save!({ ...artifacts, weightData: [data.slice(0, 101), data.slice(101, 102), data.slice(102)] });
    expect(bits(await tf.loadLayersModel(`ckpt://${where}`))).toEqual(bits(model));
    expect(existsSync(join(where, 'ckpt-2.index'))).toBe(true);
    truncateSync(join(where, 'ckpt-2.data-00000-of-00001'), 100);
    await expect(tf.loadLayersModel(`ckpt://${where}`)).rejects.toMatchObject({ code: 'DATA_LOSS' });
  });
});

function manifest(weight: object | null, path = 'weights.bin'): object {
  return { format: 'layers-model', modelTopology: {}, weightsManifest: [{ paths: [path], weights: [weight] }] };
}

async function artifactsOf(model: tf.LayersModel): Promise<tf.io.ModelArtifacts> {
  let artifacts: tf.io.ModelArtifacts | undefined;
  await model.save({
    async save(given) {
      artifacts = given;
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } };
    },
  });
  return artifacts!;
}
