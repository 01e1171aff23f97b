import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { tfjs } from '../../src/tfjs/index.ts';
import { Runtime } from '../../src/tfjs/runtime.ts';
import { variablePlace } from '../../src/tfjs/variable.ts';
import { testDirectories } from '../support/directory.ts';
import { describeWithTfjsNode, loadTfjsNode } from '../support/tfjs-node.ts';
import { HeldSnapshot } from './held.ts';

const directory = testDirectories();

describeWithTfjsNode('tensors that are exchanged for restored ones', () => {
  const tf = loadTfjsNode();
  const adapter = tfjs(tf);
  const runtime = new Runtime(tf);
  /** Large enough for a mapping of its own, which is gone when it is freed. */
  const ELEMENTS = 2 ** 20;

  /** In the engine's memory, as a restore leaves it. */
  function restored(fill: number) {
    const value = HostTensor.allocate({ dtype: 'float32', shape: [ELEMENTS] });
    (value.data as Float32Array).fill(fill);
    return value;
  }

  async function addressOf(variable: object): Promise<number> {
    const held = await HeldSnapshot.of({ variable }, adapter);
    const [address] = held.addresses();
    held.release();
    return address!;
  }

  function isMapped(address: number): boolean {
    return readFileSync('/proc/self/maps', 'latin1')
      .split('\n')
      .some((line) => {
        const [start, end] = line
          .split(' ', 1)[0]!
          .split('-')
          .map((text) => Number.parseInt(text, 16));
        return start! <= address && address < end!;
      });
  }

  it('keep their memory while others are assigned, and give it back behind that', async () => {
    const first = runtime.toTensor(restored(1)) as import('@tensorflow/tfjs').Tensor;
    const variable = tf.variable(first);
    first.dispose();
    const address = await addressOf(variable);
    const { numTensors, numBytes } = tf.memory();
    const staged = runtime.exchange.stage(variablePlace(variable), restored(2));
    staged.assign();
    expect(tf.memory()).toMatchObject({ numTensors, numBytes });
    expect(isMapped(address), 'not freed by whoever assigns').toBe(true);
    await staged.settle?.();
    expect(isMapped(address), 'freed by the engine').toBe(false);
    expect(variable.slice([0], [2]).arraySync()).toEqual([2, 2]);
    variable.dispose();
  });

  it('leave no tensor and no memory behind if the restore fails before they are assigned', async () => {
    const variable = tf.variable(tf.fill([ELEMENTS], 1));
    const { numTensors } = tf.memory();
    const value = restored(2);
    const staged = runtime.exchange.stage(variablePlace(variable), value);
    expect(value.byteLength, 'TensorFlow has the memory').toBe(0);
    staged.discard();
    expect(tf.memory().numTensors).toBe(numTensors);
    expect(variable.slice([0], [2]).arraySync()).toEqual([1, 1]);
    variable.dispose();
  });

  it('may be of any kind: over typed arrays, never used by an op, disposed of, strings, empty', async () => {
    const used = tf.variable(tf.tensor(new Float32Array(64).fill(1)));
    used.square().dispose();
    const array = Float32Array.of(3, 4);
    const state = {
      used,
      unused: tf.variable(tf.tensor(array)),
      text: tf.variable(tf.tensor(['a']), false),
      empty: tf.variable(tf.zeros([0, 2])),
      tensor: tf.tensor([5, 6]),
    };
    const prefix = join(directory(), 'ckpt');
    const checkpoint = new Checkpoint({ state }, { adapters: [adapter] });
    await checkpoint.write(prefix);
    const { numTensors } = tf.memory();
    for (let i = 0; i < 3; i++) {
      used.assign(tf.zerosLike(used));
      (await checkpoint.read(prefix)).assertConsumed();
    }
    expect(tf.memory().numTensors - numTensors).toBe(3);
    expect(used.dataSync()[63]).toBe(1);
    expect(Array.from(state.unused.dataSync())).toEqual([3, 4]);
    expect(state.text.dataSync()).toEqual(['a']);
    expect(Array.from(state.tensor.dataSync())).toEqual([5, 6]);
    expect(array).toEqual(Float32Array.of(3, 4));

    // What is disposed of between staging and assigning is nobody's to hold.
    const staged = runtime.exchange.stage(
      variablePlace(used),
      new HostTensor({ dtype: 'float32', shape: [64], data: new Float32Array(64) }),
    );
    used.dispose();
    staged.discard();
    tf.dispose(Object.values(state));
  });

  it('are held again and again without growth', async () => {
    const variable = tf.variable(tf.fill([ELEMENTS], 0));
    const prefix = join(directory(), 'ckpt');
    const checkpoint = new Checkpoint({ variable }, { adapters: [adapter] });
    await checkpoint.write(prefix);
    const resident = () => process.memoryUsage().rss / 2 ** 20;
    for (let i = 0; i < 5; i++) await checkpoint.read(prefix);
    const before = resident();
    for (let i = 0; i < 40; i++) await checkpoint.read(prefix);
    // 40 × 4 MiB, if they stayed.
    expect(resident() - before).toBeLessThan(60);
    variable.dispose();
  });
});
