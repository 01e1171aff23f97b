import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { CheckpointManager } from '../../src/manager/index.ts';
import { tfjs } from '../../src/tfjs/index.ts';
import { library, standinState } from '../support/cuda.ts';
import { testDirectories } from '../support/directory.ts';
import { oraclePython, runOracle } from '../support/oracle.ts';
import { describeOnStandinGpu, loadStandinGpu } from '../support/standin-gpu.ts';
import { loadTfjsNode } from '../support/tfjs-node.ts';
import { HeldSnapshot } from './held.ts';

type Tensor = import('@tensorflow/tfjs').Tensor;

const directory = testDirectories();

describeOnStandinGpu('tensors of tfjs-node on a GPU', () => {
  loadStandinGpu();
  const tf = loadTfjsNode();
  const adapter = tfjs(tf);
  const prefix = () => join(directory(), 'ckpt');
  // Made by an op on the device, which is done with it later. Its values must not be negative.
  const computed = (values: number[]) => tf.tidy(() => tf.relu(tf.tensor1d(values)));
  const counted = (count: number, from: number) => computed(Array.from({ length: count }, (_, i) => from + i));
  const variableOf = (value: Tensor) => {
    const variable = tf.variable(value);
    value.dispose();
    return variable;
  };
  const kinds = (held: HeldSnapshot) => held.sources().map((source) => (source as { kind: string }).kind);
  const calls = (name: string) => standinState().calls[name] ?? 0;
  const values = (tensors: readonly Tensor[]) => tensors.map((tensor) => Array.from(tensor.dataSync()));

  afterEach(() => {
    library.reset();
    expect(library.takeViolations()).toBe('');
  });

  it('are the path that the adapter and the saved event tell', async () => {
    expect(adapter).toMatchObject({ path: 'device', pathReason: null });
    const state = variableOf(computed([1, 2]));
    const manager = new CheckpointManager(new Checkpoint({ state }, { adapters: [adapter] }), {
      directory: directory(),
      maxToKeep: 1,
    });
    const paths: unknown[] = [];
    manager.on('saved', ({ tensorPath }) => paths.push(tensorPath));
    await manager.save();
    await manager.close();
    expect(paths).toEqual(['device']);
    state.dispose();
  });

  it('are read where they lie: on the device, int32 and strings on the host', async () => {
    const state = {
      float: computed([1.5, 0, 3]),
      bool: tf.tensor([true, false, true], [3], 'bool'),
      complex: tf.complex([1, 2], [3, -4]),
      int: tf.tensor([1, -2, 2 ** 31 - 1], [3], 'int32'),
      string: tf.tensor(['', 'näive'], [2], 'string'),
      scalar: tf.relu(tf.scalar(42)),
      empty: tf.zeros([0, 5]),
    };
    const held = await HeldSnapshot.of({ state }, adapter);
    expect(kinds(held)).toEqual(['device', 'device', 'device', 'address', 'strings', 'device', 'memory']);
    const written = await held.written(prefix());
    held.release();
    const [float, bool, complex, int, string, scalar, empty] = written;
    expect(float!.data).toEqual(Float32Array.of(1.5, 0, 3));
    expect(bool!.data).toEqual(Uint8Array.of(1, 0, 1));
    expect(complex!.data).toEqual(Float32Array.of(1, 3, 2, -4));
    expect(int!.data).toEqual(Int32Array.of(1, -2, 2 ** 31 - 1));
    expect((string!.data as Uint8Array[]).map((text) => Buffer.from(text).toString())).toEqual(['', 'näive']);
    expect(scalar).toMatchObject({ shape: [], data: Float32Array.of(42) });
    expect(empty).toMatchObject({ shape: [0, 5], byteLength: 0 });
    tf.dispose(Object.values(state));
  });

  it.skipIf(oraclePython() === null)('are in the checkpoint as TensorFlow reads it', async () => {
    const state = {
      large: counted(300_000, 7),
      int: tf.tensor([5, -6], [2], 'int32'),
      bool: tf.tensor([true, false], [2], 'bool'),
    };
    const path = prefix();
    await new Checkpoint({ state }, { adapters: [adapter] }).write(path);
    const script = `
import json, sys, tensorflow as tf
reader = tf.train.load_checkpoint(sys.argv[1])
read = lambda name: reader.get_tensor(f'state/{name}/.ATTRIBUTES/VARIABLE_VALUE').tolist()
print(json.dumps([read(name) for name in ['large', 'int', 'bool']]))`;
    const [large, ...rest] = JSON.parse(await runOracle(script, { args: [path] }));
    expect(large).toEqual(Array.from({ length: 300_000 }, (_, i) => 7 + i));
    expect(rest).toEqual([
      [5, -6],
      [true, false],
    ]);
    tf.dispose(Object.values(state));
  });

  it('are read when the device is done with the work that fills them', async () => {
    const variable = variableOf(counted(1000, 1));
    const path = prefix();
    const checkpoint = new Checkpoint({ variable }, { adapters: [adapter] });
    // Much more work than one copy is. None of it is freed, for which the plugin would wait.
    library.slowCopies(5000, 0);
    const work: Tensor[] = [variable.clone()];
    for (let i = 0; i < 20; i++) work.push(tf.relu(work.at(-1)!));
    variable.assign(work.at(-1)!);
    await checkpoint.write(path);
    library.reset();
    variable.assign(tf.zeros([1000]));
    (await checkpoint.read(path)).assertConsumed();
    expect(variable.dataSync()[999]).toBe(1000);
    tf.dispose([variable, work]);
  });

  it('stay as they were when variables are assigned, disposed and computed with while the save is under way', async () => {
    const variables = Array.from({ length: 40 }, (_, i) => variableOf(counted(3000, i)));
    const path = prefix();
    library.slowCopies(2000, 0);
    const checkpoint = new Checkpoint({ variables }, { adapters: [adapter] });
    const saved = checkpoint.write(path, { enableAsync: true });
    const other = counted(3000, 5000);
    for (const [i, variable] of variables.entries()) {
      if (i % 3 === 0) variable.dispose();
      else variable.assign(i % 3 === 1 ? other : tf.tidy(() => tf.relu(other)));
    }
    await saved;
    await checkpoint.sync();
    library.reset();
    for (const variable of variables) variable.dispose();
    const again = Array.from({ length: 40 }, () => tf.variable(tf.zeros([3000])));
    (await new Checkpoint({ variables: again }, { adapters: [adapter] }).read(path)).assertConsumed();
    expect(again.map((variable) => variable.dataSync()[2999])).toEqual(again.map((_, i) => i + 2999));
    tf.dispose([again, other]);
  });

  it('are given back: no tensor and no device memory is left behind', async () => {
    const variables = Array.from({ length: 20 }, (_, i) => variableOf(counted(100_000, i)));
    const checkpoint = new Checkpoint({ variables }, { adapters: [adapter] });
    const path = prefix();
    const before = { tensors: tf.memory().numTensors, bytes: standinState().deviceBytes };
    const now = () => ({ tensors: tf.memory().numTensors, bytes: standinState().deviceBytes });
    for (let i = 0; i < 3; i++) {
      await checkpoint.write(path);
      (await checkpoint.read(path)).assertConsumed();
    }
    // Large ones are given back by a thread of the engine's.
    await expect.poll(now).toEqual(before);
    const gone = standinState().deviceBytes - 20 * 400_000;
    const saved = checkpoint.write(path);
    for (const variable of variables) variable.dispose();
    await saved;
    await expect.poll(() => standinState().deviceBytes).toBe(gone);
  });

  it('are restored into memory of the device, without the host having all of it', async () => {
    const variables = Array.from({ length: 5 }, (_, i) => variableOf(counted(50_000, i)));
    const state = { flags: tf.tensor([true, false], [2], 'bool'), count: tf.tensor([7], [1], 'int32') };
    const checkpoint = new Checkpoint({ variables, state }, { adapters: [adapter] });
    const path = prefix();
    await checkpoint.write(path);
    for (const variable of variables) variable.assign(tf.zeros([50_000]));
    const external = process.memoryUsage().arrayBuffers;
    const copies = calls('cuMemcpyHtoDAsync_v2');
    (await checkpoint.read(path)).assertConsumed();
    expect(calls('cuMemcpyHtoDAsync_v2')).toBeGreaterThan(copies);
    expect(process.memoryUsage().arrayBuffers - external).toBeLessThan(200_000);
    expect(variables.map((variable) => variable.dataSync()[49_999])).toEqual([0, 1, 2, 3, 4].map((i) => i + 49_999));
    expect(values(Object.values(state))).toEqual([[1, 0], [7]]);
    // On the device they are, like any other: an op computes with them.
    expect(tf.relu(variables[1]!).dataSync()[0]).toBe(1);
    tf.dispose([variables, Object.values(state)]);
  });

  it('keep their values when the checkpoint is damaged, or the restore is aborted', async () => {
    const variables = [variableOf(counted(70_000, 1)), variableOf(counted(70_000, 2))];
    const checkpoint = new Checkpoint({ variables }, { adapters: [adapter] });
    const path = prefix();
    await checkpoint.write(path);
    for (const variable of variables) variable.assign(tf.fill([70_000], 9));
    const data = `${path}.data-00000-of-00001`;
    const bytes = readFileSync(data);
    const before = { tensors: tf.memory().numTensors, bytes: standinState().deviceBytes };
    const now = () => ({ tensors: tf.memory().numTensors, bytes: standinState().deviceBytes });
    bytes[bytes.length - 100]! ^= 1;
    writeFileSync(data, bytes);
    const error = await checkpoint.read(path).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'DATA_LOSS' });
    expect(error.overwritten ?? []).toEqual([]);
    await expect(checkpoint.read(path, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
    expect(variables.map((variable) => variable.dataSync()[0])).toEqual([9, 9]);
    await expect.poll(now).toEqual(before);
    tf.dispose(variables);
  });

  it('are given back when a save or a restore is aborted while the device still copies', async () => {
    const variables = Array.from({ length: 6 }, (_, i) => variableOf(counted(400_000, i)));
    const checkpoint = new Checkpoint({ variables }, { adapters: [adapter] });
    const path = prefix();
    await checkpoint.write(path);
    const before = { tensors: tf.memory().numTensors, bytes: standinState().deviceBytes };
    const now = () => ({ tensors: tf.memory().numTensors, bytes: standinState().deviceBytes });
    // The plugin frees memory without waiting for copies of the engine's: one under way would be a violation.
    library.slowCopies(100_000, 0);
    for (const milliseconds of [0, 10, 30]) {
      const restored = checkpoint.read(path, { signal: AbortSignal.timeout(milliseconds) });
      await expect(restored).rejects.toMatchObject({ code: 'ABORTED' });
      await expect.poll(now).toEqual(before);
      const saved = checkpoint.write(`${path}-2`, { signal: AbortSignal.timeout(milliseconds) });
      await expect(saved).rejects.toMatchObject({ code: 'ABORTED' });
      await expect.poll(now).toEqual(before);
    }
    library.reset();
    expect(variables.map((variable) => variable.dataSync()[399_999])).toEqual(
      [0, 1, 2, 3, 4, 5].map((i) => i + 399_999),
    );
    tf.dispose(variables);
  });

  it('go through the host where the device has no memory for the new beside the old', async () => {
    const variables = [variableOf(counted(1000, 1)), variableOf(counted(1000, 2))];
    const checkpoint = new Checkpoint({ variables }, { adapters: [adapter] });
    const path = prefix();
    await checkpoint.write(path);
    for (const variable of variables) variable.assign(tf.zeros([1000]));
    library.fail('cuMemAlloc_v2', 1, 2, 0);
    (await checkpoint.read(path)).assertConsumed();
    expect(variables.map((variable) => variable.dataSync()[999])).toEqual([1000, 1001]);
    expect(adapter.path).toBe('device');
    await checkpoint.write(path);
    tf.dispose(variables);
  });

  it('are given back after a failure of the device, which has the name that the driver gives it', async () => {
    const variable = variableOf(counted(1000, 3));
    const checkpoint = new Checkpoint({ variable }, { adapters: [adapter] });
    const path = prefix();
    await checkpoint.write(path);
    const before = standinState().deviceBytes;
    library.fail('cuMemcpyDtoHAsync_v2', 1, 700, 0);
    await expect(checkpoint.write(`${path}-2`)).rejects.toMatchObject({
      code: 'CUDA_ERROR',
      errno: 'CUDA_ERROR_ILLEGAL_ADDRESS',
    });
    library.reset();
    await expect.poll(() => standinState().deviceBytes).toBe(before);
    (await checkpoint.read(path)).assertConsumed();
    await checkpoint.write(`${path}-3`);
    tf.dispose(variable);
  });

  it('are summed on the device, too, and copied there first, where that is asked for', async () => {
    const variable = variableOf(counted(100_000, 4));
    const checkpoint = new Checkpoint({ variable }, { adapters: [adapter] });
    const path = prefix();
    const launches = calls('cuLaunchKernel');
    await checkpoint.write(path, { deviceChecksum: true, deviceShadow: true });
    expect(calls('cuLaunchKernel')).toBeGreaterThan(launches);
    (await checkpoint.read(path, { deviceChecksum: true })).assertConsumed();
    expect(variable.dataSync()[99_999]).toBe(4 + 99_999);
    tf.dispose(variable);
  });

  it('of a model in training with Adam continue to the bit', async () => {
    const build = () => {
      const init = (seed: number) => tf.initializers.glorotUniform({ seed });
      const model = tf.sequential({
        layers: [
          tf.layers.dense({ units: 8, inputShape: [4], activation: 'relu', kernelInitializer: init(1) }),
          tf.layers.dense({ units: 1, kernelInitializer: init(2) }),
        ],
      });
      model.compile({ optimizer: tf.train.adam(0.01), loss: 'meanSquaredError' });
      return model;
    };
    const x = tf.randomUniform([32, 4], -1, 1, 'float32', 5);
    const y = tf.tidy(() => x.square().sum(1, true));
    const train = async (model: ReturnType<typeof build>, from: number, to: number) =>
      (await model.fit(x, y, { initialEpoch: from, epochs: to, batchSize: 8, shuffle: false, verbose: 0 })).history
        .loss;
    const straight = build();
    await train(straight, 0, 2);
    const path = prefix();
    const checkpoint = new Checkpoint({ model: straight }, { adapters: [adapter] });
    await checkpoint.write(path, { enableAsync: true });
    const expected = await train(straight, 2, 4);
    await checkpoint.sync();
    const resumed = build();
    (await new Checkpoint({ model: resumed }, { adapters: [adapter] }).read(path)).assertConsumed();
    expect(await train(resumed, 2, 4)).toEqual(expected);
    expect(values(resumed.getWeights())).toEqual(values(straight.getWeights()));
    tf.dispose([x, y]);
  });
});
