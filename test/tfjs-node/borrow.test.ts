import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { loadCheckpoint } from '../../src/manager/latest.ts';
import { tfjs } from '../../src/tfjs/index.ts';
import { testDirectories } from '../support/directory.ts';
import { describeWithTfjsNode, loadTfjsNode } from '../support/tfjs-node.ts';
import { HeldSnapshot } from './held.ts';

const directory = testDirectories();

describeWithTfjsNode('tensors of tfjs-node, borrowed', () => {
  const tf = loadTfjsNode();
  const adapter = tfjs(tf);
  const prefix = () => join(directory(), 'ckpt');
  // Values that an op has made, as those of trained weights: no typed array has anything to do with them.
  const computed = (values: number[], shape: number[] = [values.length]) =>
    tf.tidy(() => tf.mul(tf.tensor(values, shape, 'float32'), 1) as import('@tensorflow/tfjs').Tensor);

  it('are the path that the adapter tells', () => {
    expect(adapter.path).toBe('borrow');
    expect(adapter.pathReason).toBeNull();
  });

  it('keep every dtype, scalars, and tensors without elements', async () => {
    const state = {
      float: computed([1.5, -0, Number.NaN, Number.POSITIVE_INFINITY], [2, 2]),
      int: tf.tensor([1, -2, 2 ** 31 - 1], [3], 'int32'),
      bool: tf.tensor([true, false, true], [3], 'bool'),
      complex: tf.complex([1, 2], [3, -4]),
      scalar: tf.scalar(42),
      string: tf.tensor(['', 'näive', 'x'.repeat(1000)], [3], 'string'),
      empty: tf.zeros([0, 5]),
      bytes: tf.tensor([tf.util.encodeString('\ufffd\u0000')] as never, [1], 'string'),
    };
    const held = await HeldSnapshot.of({ state }, adapter);
    const [float, int, bool, complex, scalar, string, empty, bytes] = await held.written(prefix());
    held.release();
    expect(float).toMatchObject({ dtype: 'float32', shape: [2, 2] });
    expect(Array.from(float!.data as Float32Array)).toEqual([1.5, -0, Number.NaN, Number.POSITIVE_INFINITY]);
    expect(int).toMatchObject({ dtype: 'int32', data: Int32Array.of(1, -2, 2 ** 31 - 1) });
    expect(bool).toMatchObject({ dtype: 'bool', data: Uint8Array.of(1, 0, 1) });
    expect(complex).toMatchObject({ dtype: 'complex64', data: Float32Array.of(1, 3, 2, -4) });
    expect(scalar).toMatchObject({ shape: [], data: Float32Array.of(42) });
    expect((string!.data as Uint8Array[]).map((s) => Buffer.from(s).toString())).toEqual([
      '',
      'näive',
      'x'.repeat(1000),
    ]);
    expect(empty).toMatchObject({ dtype: 'float32', shape: [0, 5], byteLength: 0 });
    expect(bytes!.data).toEqual([tf.util.encodeString('\ufffd\u0000')]);
    tf.dispose(Object.values(state));
  });

  it('share the memory: two snapshots of one value have the same address, a new value another', async () => {
    const variable = tf.variable(computed([1, 2, 3]));
    const first = await HeldSnapshot.of({ variable }, adapter);
    const second = await HeldSnapshot.of({ variable }, adapter);
    expect(first.addresses()[0]).toBeGreaterThan(0);
    expect(second.addresses()).toEqual(first.addresses());
    variable.assign(computed([4, 5, 6]));
    const third = await HeldSnapshot.of({ variable }, adapter);
    expect(third.addresses()[0]).not.toBe(first.addresses()[0]);
    for (const held of [first, second, third]) held.release();
    variable.dispose();
  });

  it('stay as they were when variables are assigned, disposed and computed with', async () => {
    const count = 70;
    const variables = Array.from({ length: count }, (_, i) => tf.variable(computed([i, i + 0.5])));
    const held = await HeldSnapshot.of({ variables }, adapter);
    for (const [i, variable] of variables.entries()) {
      if (i % 3 === 0) variable.assign(computed([-1, -1]));
      else if (i % 3 === 1) variable.dispose();
      else variable.assign(tf.tidy(() => variable.add(100)));
    }
    // TensorFlow would reuse memory that nobody holds.
    tf.tidy(() => {
      for (let i = 0; i < 500; i++) tf.fill([2], 9e9).add(1);
    });
    const written = await held.written(prefix());
    held.release();
    expect(written.map(({ data }) => Array.from(data as Float32Array))).toEqual(
      Array.from({ length: count }, (_, i) => [i, i + 0.5]),
    );
    for (const variable of variables) variable.dispose();
  });

  it('are copied where they lie in a typed array, however that array is aligned', async () => {
    // One in four arrays of this kind is aligned as TensorFlow wants it, and used as it is.
    const arrays = Array.from({ length: 64 }, (_, i) => new Float32Array(256).fill(i));
    const tensors = arrays.map((array) => tf.tensor(array));
    const reshaped = tensors.map((tensor) => tensor.reshape([16, 16]));
    const slices = tensors.map((tensor) => tf.unstack(tensor.reshape([2, 128]))[0]!);
    for (const tensor of tensors) tensor.add(1).dispose();
    const held = await HeldSnapshot.of({ tensors, reshaped, slices }, adapter);
    for (const array of arrays) array.fill(-1);
    const shared = tensors.filter((tensor) => tensor.dataSync()[0] === -1).length;
    // Without any, this test would show nothing.
    expect(shared).toBeGreaterThan(0);
    const written = await held.written(prefix());
    held.release();
    for (const [i, { data }] of written.entries()) {
      expect(Array.from(data as Float32Array).every((value) => value === i % 64)).toBe(true);
    }
    tf.dispose([tensors, reshaped, slices]);
  });

  it('are copied where no op has used them yet and they are still the array of their maker', async () => {
    const arrays = Array.from({ length: 32 }, (_, i) => new Float32Array(64).fill(i));
    const tensors = arrays.map((array) => tf.tensor(array));
    const strings = [new Uint8Array([1, 2, 3])];
    const text = tf.tensor(strings as never, [1], 'string');
    const held = await HeldSnapshot.of({ tensors, text: [text] }, adapter);
    for (const array of arrays) array.fill(-1);
    strings[0]!.fill(9);
    const written = await held.written(prefix());
    held.release();
    for (const [i, { data }] of written.slice(0, 32).entries()) {
      expect(Array.from(data as Float32Array)).toEqual(new Array(64).fill(i));
    }
    expect(written[32]!.data).toEqual([new Uint8Array([1, 2, 3])]);
    tf.dispose([tensors, text]);
  });

  it('are not copied where an op made them', async () => {
    const variable = tf.variable(computed(new Array(1000).fill(3)));
    const before = await HeldSnapshot.of({ variable }, adapter);
    // A copy would lie elsewhere each time.
    const again = await HeldSnapshot.of({ variable }, adapter);
    expect(again.addresses()).toEqual(before.addresses());
    before.release();
    again.release();
    variable.dispose();
  });

  it('keep strings that are disposed of afterwards', async () => {
    const text = tf.tensor(['abc'.repeat(100)], [1], 'string');
    const used = tf.tidy(() => text.reshape([1, 1]));
    const held = await HeldSnapshot.of({ list: [text, used] }, adapter);
    tf.dispose([text, used]);
    const written = await held.written(prefix());
    held.release();
    for (const { data } of written) expect(Buffer.from((data as Uint8Array[])[0]!).toString()).toBe('abc'.repeat(100));
  });

  it('are what tfjs calls them where TensorFlow knows them as another type', async () => {
    // tfjs-node calls the uint8 tensor of a decoded image, and int64 results, int32.
    const png = Buffer.from(
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
      'base64',
    );
    const node = (tf as unknown as { node: { decodePng(bytes: Uint8Array): import('@tensorflow/tfjs').Tensor } }).node;
    const image = node.decodePng(png);
    expect(image.dtype).toBe('int32');
    const held = await HeldSnapshot.of({ list: [image] }, adapter);
    const [written] = await held.written(prefix());
    held.release();
    expect(written).toMatchObject({ dtype: 'int32', shape: image.shape });
    expect(Array.from(written!.data as Int32Array)).toEqual(Array.from(image.dataSync()));
    image.dispose();
  });

  it('leave no tensor behind and give nothing back twice', async () => {
    const variables = Array.from({ length: 100 }, (_, i) => tf.variable(computed([i])));
    const before = tf.memory().numTensors;
    const held = await HeldSnapshot.of({ variables }, adapter);
    expect(tf.memory().numTensors).toBe(before);
    held.release();
    expect(tf.memory().numTensors).toBe(before);
    for (const variable of variables) variable.dispose();
  });

  it('are all taken in the turn in which a save begins', async () => {
    const variables = Array.from({ length: 3000 }, (_, i) => tf.variable(tf.fill([1], i), false));
    const path = prefix();
    const saved = new Checkpoint({ variables }, { adapters: [adapter] }).write(path, { durable: false });
    const next = computed([-1]);
    for (const variable of variables) variable.assign(next);
    await saved;
    const reader = await loadCheckpoint(path);
    const tensors = await reader.getTensors();
    await reader.close();
    const dataOf = (i: number) => tensors.get(`variables/${i}/.ATTRIBUTES/VARIABLE_VALUE`)!.data;
    expect(variables.every((_, i) => (dataOf(i) as Float32Array)[0] === i)).toBe(true);
    tf.dispose([variables, next]);
  });

  it('are taken by themselves after a capture that failed at another object', async () => {
    const [good, bad] = [tf.variable(computed([1])), tf.variable(computed([2]))];
    const first = adapter.adapt(good)!.values!()[0]!.capture();
    bad.dispose();
    expect(() => adapter.adapt(bad)!.values!()).toThrow(/disposed/);
    first.release?.();
    good.assign(computed([7]));
    const held = await HeldSnapshot.of({ good }, adapter);
    const [written] = await held.written(prefix());
    held.release();
    expect(written!.data).toEqual(Float32Array.of(7));
    good.dispose();
  });
});
