import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { allocate } from '../../src/native/engine.ts';
import { provideTensor } from '../../src/native/tensorflow.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { tfjs } from '../../src/tfjs/index.ts';
import { execute, type TensorFlowLink } from '../../src/tfjs/node-backend.ts';
import { Runtime } from '../../src/tfjs/runtime.ts';
import type { TfTensor } from '../../src/tfjs/types.ts';
import { countedWhenCollected } from '../support/collected.ts';
import { testDirectories } from '../support/directory.ts';
import { describeWithTfjsNode, loadTfjsNode } from '../support/tfjs-node.ts';
import { HeldSnapshot } from './held.ts';

const directory = testDirectories();

describeWithTfjsNode('tensors that TensorFlow makes of restored memory', () => {
  const tf = loadTfjsNode();
  const adapter = tfjs(tf);
  const runtime = new Runtime(tf);

  /** Where TensorFlow has the tensor, as a save is told. */
  async function addressOf(tensor: TfTensor): Promise<number | null> {
    const held = await HeldSnapshot.of({ list: [tensor] }, adapter);
    const [address] = held.addresses();
    held.release();
    return address!;
  }

  it('lie in the very memory that was read into, which JavaScript has no more', async () => {
    const link = runtime.links.current() as TensorFlowLink;
    const value = HostTensor.allocate({ dtype: 'float32', shape: [300, 5] });
    const data = value.data as Float32Array;
    for (let i = 0; i < data.length; i++) data[i] = i;
    const buffer = data.buffer as ArrayBuffer;
    let tensor: TfTensor | undefined;
    const address = provideTensor(buffer, 1, [300, 5], () => {
      [tensor] = execute(link, link.runtime.provideOp, 1, 1, [], 1);
    });
    expect(buffer.byteLength).toBe(0);
    expect(value.byteLength).toBe(0);
    expect(tensor).toMatchObject({ shape: [300, 5], dtype: 'float32' });
    expect((tensor!.dataSync() as Float32Array)[1499]).toBe(1499);
    // Nobody can write to it: it is lent where it is, and not copied.
    expect(await addressOf(tensor!)).toBe(address);
    tensor!.dispose();
  });

  it('keep every dtype, and are an input of ops like any other', async () => {
    const state = {
      float: tf.tensor([[1.5, -2]], [1, 2], 'float32'),
      int: tf.tensor([5, -6], [2], 'int32'),
      bool: tf.tensor([true, false], [2], 'bool'),
      complex: tf.complex([1, 2], [3, 4]),
      scalar: tf.scalar(0.5),
      text: tf.tensor(['a', 'b'], [2], 'string'),
      empty: tf.zeros([0, 3]),
    };
    const prefix = join(directory(), 'ckpt');
    const checkpoint = new Checkpoint({ state }, { adapters: [adapter] });
    await checkpoint.write(prefix);
    const before = Object.values(state);
    (await checkpoint.read(prefix)).assertConsumed();
    expect(before.every((tensor) => tensor.isDisposed)).toBe(true);
    expect(Array.from(state.float.mul(2).dataSync())).toEqual([3, -4]);
    expect(Array.from(state.int.add(tf.tensor([1, 1], [2], 'int32')).dataSync())).toEqual([6, -5]);
    expect(Array.from(state.bool.logicalNot().dataSync())).toEqual([0, 1]);
    expect(Array.from(tf.real(state.complex).dataSync())).toEqual([1, 2]);
    expect(Array.from(tf.imag(state.complex).dataSync())).toEqual([3, 4]);
    expect(state.scalar.arraySync()).toBe(0.5);
    expect(state.text.dataSync()).toEqual(['a', 'b']);
    expect(state.empty.shape).toEqual([0, 3]);
    expect((await addressOf(state.float))! % 4096).toBe(0);
    tf.dispose(Object.values(state));
  });

  it('become the values of variables and layer weights, with no tensor left behind', async () => {
    const model = tf.sequential({
      layers: [tf.layers.dense({ units: 40, inputShape: [30] }), tf.layers.batchNormalization()],
    });
    const prefix = join(directory(), 'ckpt');
    const checkpoint = new Checkpoint({ model }, { adapters: [adapter] });
    await checkpoint.write(prefix);
    const values = model.getWeights().map((weight) => Array.from(weight.dataSync()));
    model.setWeights(model.getWeights().map((weight) => tf.onesLike(weight)));
    const before = tf.memory().numTensors;
    (await checkpoint.read(prefix)).assertConsumed();
    expect(tf.memory().numTensors).toBe(before);
    expect(model.getWeights().map((weight) => Array.from(weight.dataSync()))).toEqual(values);
    for (const weight of model.getWeights()) expect((await addressOf(weight))! % 4096).toBe(0);
  });

  it('live on in tf.tidy, and are freed when they are disposed', () => {
    const before = tf.memory().numTensors;
    const tensor = tf.tidy(() => {
      const value = HostTensor.allocate({ dtype: 'int32', shape: [3] });
      runtime.toTensor(value);
      const kept = runtime.toTensor(HostTensor.allocate({ dtype: 'float32', shape: [2, 2] }));
      return kept as import('@tensorflow/tfjs').Tensor;
    });
    expect(tf.memory().numTensors).toBe(before + 2);
    expect(Array.from(tensor.dataSync())).toEqual([0, 0, 0, 0]);
    tensor.dispose();
    expect(tf.memory().numTensors).toBe(before + 1);
  });

  it("leave V8's count of outside memory as it was, adopted or dropped", async () => {
    const variable = tf.variable(tf.fill([2 ** 20], 1));
    const prefix = join(directory(), 'ckpt');
    const checkpoint = new Checkpoint({ variable }, { adapters: [adapter] });
    await checkpoint.write(prefix);
    await checkpoint.read(prefix);
    const before = await countedWhenCollected();
    for (let i = 0; i < 8; i++) await checkpoint.read(prefix);
    for (let i = 0; i < 8; i++) allocate(2 ** 22, 'adopt');
    // 32 MiB were adopted and 32 MiB dropped: counted wrongly, one of them would show.
    expect(Math.abs((await countedWhenCollected()) - before)).toBeLessThan(2 ** 22);
    variable.dispose();
  });

  it("are copies where the memory isn't the engine's own", () => {
    const data = Float32Array.of(1, 2, 3);
    const tensor = runtime.toTensor(new HostTensor({ dtype: 'float32', shape: [3], data }));
    expect(data.length).toBe(3);
    expect(Array.from((tensor as import('@tensorflow/tfjs').Tensor).dataSync())).toEqual([1, 2, 3]);
    tensor.dispose();
  });
});
