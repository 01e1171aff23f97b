import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { isCheckpointError } from '../../src/errors.ts';
import type { TensorSource } from '../../src/tensor/source.ts';
import { tfjs } from '../../src/tfjs/index.ts';
import { restore, save } from './memory.ts';
import { caught, network, train } from './network.ts';

const adapter = tfjs(tf);

beforeAll(async () => {
  await tf.setBackend('cpu');
});

describe('memory', () => {
  it('does not grow by a tensor over 50 saves, also inside tf.tidy', async () => {
    const model = network();
    await train(model, 2);
    const objects = { model, held: { tensor: tf.scalar(1), text: tf.scalar('x', 'string') } };
    const before = tf.memory();
    for (let i = 0; i < 50; i++) await save(objects, adapter);
    let pending: Promise<unknown> | undefined;
    tf.tidy(() => {
      pending = save(objects, adapter);
    });
    await pending;
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numDataBuffers).toBe(before.numDataBuffers);
  });

  it('does not grow by a tensor over 20 restores', async () => {
    const model = network();
    await train(model, 2);
    const objects = { model, held: { tensor: tf.scalar(1) } };
    const checkpoint = await save(objects, adapter);
    await restore(objects, adapter, checkpoint);
    const before = tf.memory();
    for (let i = 0; i < 20; i++) await restore(objects, adapter, checkpoint);
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numDataBuffers).toBe(before.numDataBuffers);
  });

  it('of a backend that copies is given back when its bytes were read, or when they are not wanted', async () => {
    // The adapter asks for the backend's name alone.
    const elsewhere = tfjs({ ...tf, getBackend: () => 'device' });
    const variable = tf.variable(tf.tensor1d([1, 2]));
    const before = tf.memory().numTensors;
    const read = elsewhere.adapt(variable)!.values!()[0]!.capture();
    expect(read.source).toBeInstanceOf(Promise);
    expect(tf.memory().numTensors).toBe(before + 1);
    tf.tidy(() => variable.assign(tf.tensor1d([3, 4])));
    const source = (await read.source) as Extract<TensorSource, { kind: 'memory' }>;
    expect(new Float32Array(source.bytes.buffer, source.bytes.byteOffset, 2)).toEqual(Float32Array.of(1, 2));
    read.release!();
    const unread = elsewhere.adapt(variable)!.values!()[0]!.capture();
    unread.release!();
    await expect(unread.source).rejects.toThrow('released');
    expect(tf.memory().numTensors).toBe(before);
    variable.dispose();
  });
});

describe('what cannot be', () => {
  it.each([
    ['nothing', undefined],
    ['a module that is something else', { version: 1 }],
  ])('used as tf is refused: %s', (_, given) => {
    const error = caught(() => tfjs(given as never));
    expect(isCheckpointError(error) && error.code).toBe('INVALID_ARGUMENT');
    expect((error as Error).message).toContain('TensorFlow.js module');
  });

  it('saved because it was disposed is refused by name', async () => {
    const variable = tf.variable(tf.scalar(1), true, 'gone');
    variable.dispose();
    await expect(save({ variable }, adapter)).rejects.toThrow(/'gone' has been disposed/);
  });

  it('restored because it is a tensor by itself says where to put it', async () => {
    const checkpoint = await save({ tensor: tf.scalar(1) }, adapter);
    const before = tf.memory().numTensors;
    await expect(restore({ tensor: tf.scalar(2) }, adapter, checkpoint)).rejects.toThrow(/tf.Variable/);
    expect(tf.memory().numTensors).toBe(before + 1);
  });
});
