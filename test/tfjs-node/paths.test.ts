import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { tfjs } from '../../src/tfjs/index.ts';
import type { NodeBackend } from '../../src/tfjs/node-backend.ts';
import { testDirectories } from '../support/directory.ts';
import { describeWithTfjsNode, loadTfjsNode } from '../support/tfjs-node.ts';
import { HeldSnapshot } from './held.ts';

const directory = testDirectories();

describeWithTfjsNode('the way to the tensors of tfjs-node', () => {
  const tf = loadTfjsNode();
  const backend = () => tf.backend() as unknown as NodeBackend;

  async function savesAndRestores(adapter: ReturnType<typeof tfjs>, value: number): Promise<boolean> {
    const variable = tf.variable(tf.fill([5], value));
    const checkpoint = new Checkpoint({ variable }, { adapters: [adapter] });
    const prefix = join(directory(), 'ckpt');
    const saved = checkpoint.write(prefix);
    variable.assign(tf.fill([5], -1));
    await saved;
    await checkpoint.read(prefix);
    return variable.dataSync().every((element) => element === value);
  }

  it('follows the backend that is in use', async () => {
    const adapter = tfjs(tf);
    expect(adapter.path).toBe('borrow');
    const variable = tf.variable(tf.fill([3], 4));
    await tf.setBackend('cpu');
    try {
      expect(adapter).toMatchObject({ path: 'data', pathReason: 'the backend is cpu' });
      expect(await savesAndRestores(adapter, 3)).toBe(true);
    } finally {
      await tf.setBackend('tensorflow');
    }
    expect(adapter).toMatchObject({ path: 'borrow', pathReason: null });
    expect(await savesAndRestores(adapter, 5)).toBe(true);
    variable.dispose();
  });

  it('moves tensors of another backend as any op would', async () => {
    await tf.setBackend('cpu');
    const variable = tf.variable(tf.fill([3], 4));
    await tf.setBackend('tensorflow');
    const held = await HeldSnapshot.of({ variable }, tfjs(tf));
    const [written] = await held.written(join(directory(), 'ckpt'));
    held.release();
    expect(written!.data).toEqual(Float32Array.of(4, 4, 4));
    variable.dispose();
  });

  it('asks for powers of two at most 1024, however many tensors there are: each number costs a kernel for ever', async () => {
    const adapter = tfjs(tf);
    const real = backend().executeMultipleOutputs;
    const counts: number[] = [];
    backend().executeMultipleOutputs = function (this: NodeBackend, name, attributes, inputs, outputs) {
      if (name.startsWith('TensorCheckpointBorrow')) counts.push(attributes.find((a) => a.name === 'N')!.value);
      return real.call(this, name, attributes, inputs, outputs);
    };
    const tensors = Array.from({ length: 2500 }, (_, i) => tf.fill([1], i));
    try {
      for (const count of [1, 2, 3, 7, 100, 1000, 2500]) {
        counts.length = 0;
        const held = await HeldSnapshot.of({ list: tensors.slice(0, count) }, adapter);
        expect(counts.reduce((sum, n) => sum + n, 0)).toBe(count);
        expect(counts.every((n) => Number.isInteger(Math.log2(n)) && n <= 1024)).toBe(true);
        expect(new Set(held.addresses()).size).toBe(count);
        held.release();
      }
    } finally {
      backend().executeMultipleOutputs = real;
    }
    tf.dispose(tensors);
  });

  it('is data() from then on when TensorFlow refuses an op, and the save at hand succeeds all the same', async () => {
    // A backend of its own: giving up is remembered for the backend.
    const refusing = Object.create(backend(), {
      executeMultipleOutputs: {
        value(this: NodeBackend, name: string, ...rest: never[]) {
          if (name.startsWith('TensorCheckpoint')) throw new Error('no such op today');
          return (backend().executeMultipleOutputs as (...all: unknown[]) => unknown).call(backend(), name, ...rest);
        },
      },
    });
    const adapter = tfjs(
      new Proxy(tf, { get: (all, name) => (name === 'backend' ? () => refusing : Reflect.get(all, name)) }),
    );
    expect(adapter.path).toBe('borrow');
    const variable = tf.variable(tf.fill([5], 9));
    const held = await HeldSnapshot.of({ variable }, adapter);
    variable.assign(tf.fill([5], -1));
    expect(adapter).toMatchObject({ path: 'data', pathReason: 'TensorFlow lends no tensors: no such op today' });
    const [written] = await held.written(join(directory(), 'ckpt'));
    held.release();
    expect(written!.data).toEqual(new Float32Array(5).fill(9));
    expect(await savesAndRestores(adapter, 6)).toBe(true);
    variable.dispose();
  });

  it("is data() on a backend of this name that isn't tfjs-node's", () => {
    const over = new Proxy(tf, { get: (all, name) => (name === 'backend' ? () => ({}) : Reflect.get(all, name)) });
    expect(tfjs(over).pathReason).toBe('this tensorflow backend is not that of tfjs-node 4');
  });
});
