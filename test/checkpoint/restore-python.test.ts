import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type Adapter, Checkpoint, Counter, type TrackableNode } from '../../src/checkpoint/index.ts';
import type { DType } from '../../src/tensor/dtypes.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { testDirectories } from '../support/directory.ts';

// Checkpoints that TensorFlow wrote, committed with the script that made them.
const fixtures = fileURLToPath(new URL('../fixtures/object-graph/', import.meta.url));
const expected = (name: string) => JSON.parse(readFileSync(join(fixtures, name, 'expected.json'), 'utf8'));
const directory = testDirectories();

const tensor = (dtype: DType, ...shape: number[]) => HostTensor.allocate({ dtype, shape });
const values = (of: HostTensor) => Array.from(of.data as Float32Array, Number);

describe('a checkpoint of Python’s', () => {
  it('of dicts, lists, a module, host state and shared variables is consumed whole', async () => {
    const shared = tensor('float32', 3);
    const state = {
      text: '',
      serialize: () => '',
      deserialize(text: string) {
        this.text = text;
      },
    };
    const [second, first] = [tensor('float32', 2), tensor('float32', 1, 1)];
    const kernel = tensor('int32', 2, 2);
    const gamma = tensor('float64');
    const dotted = tensor('bool', 2);
    const step = new Counter();
    const checkpoint = new Checkpoint({
      step,
      weights: { kernel, bias: shared },
      layers: [shared, { gamma }, []],
      pair: { checkpointChildren: () => ({ first, second }) },
      state,
      'dotted.name/with slash': dotted,
    });
    const status = await checkpoint.restore(join(fixtures, 'nested/ckpt-1'));
    status.assertConsumed().assertExistingObjectsMatched();
    expect(step).toMatchObject({ value: 7, dtype: 'int64' });
    expect(values(kernel)).toEqual([1, 2, 3, 4]);
    expect(values(shared)).toEqual([1, 2, 3]);
    expect(values(gamma)).toEqual([0.5]);
    expect([...values(second), ...values(first)]).toEqual([4, 5, 6]);
    expect(values(dotted)).toEqual([1, 0]);
    expect(JSON.parse(state.text)).toEqual({ epoch: 3, name: 'é' });
    expect(checkpoint.saveCounter.value).toBe(1);
  });

  it('with a cycle', async () => {
    const value = tensor('float32');
    const a: Record<string, unknown> = {};
    const b = { a, value };
    a.b = b;
    (await new Checkpoint({ a, b }).read(join(fixtures, 'cycle/ckpt'))).assertConsumed();
    expect(values(value)).toEqual([2.5]);
  });

  it('of a Keras 3 model and its optimizer, weight by weight', async () => {
    const [k0, b0, k1, b1] = [
      tensor('float32', 3, 2),
      tensor('float32', 2),
      tensor('float32', 2, 1),
      tensor('float32', 1),
    ];
    const iterations = new Counter();
    const momentum = tensor('float32', 3, 2);
    const operations = { 1: { _kernel: k0, bias: b0 }, 2: { _kernel: k1, bias: b1 } };
    const checkpoint = new Checkpoint({
      model: { _functional: { _operations: operations } },
      optimizer: { _iterations: iterations, _momentums: { 0: momentum } },
    });
    const status = await checkpoint.restore(join(fixtures, 'keras/ckpt-1'));
    status.assertExistingObjectsMatched().expectPartial();
    const keras = expected('keras');
    expect(values(k0)).toEqual(keras.kernel0.map(Math.fround));
    expect(values(b1)).toEqual(keras.bias1.map(Math.fround));
    expect(values(momentum)).toEqual(keras.momentum0.map(Math.fround));
    expect(iterations.value).toBe(keras.iterations);
    expect(() => status.assertConsumed()).toThrow(/values that no object has taken/);
  });

  it('with slot variables, whatever the order in which optimizer and variables are reached', async () => {
    for (const names of [
      ['vars', 'optimizer'],
      ['optimizer', 'vars'],
    ]) {
      const [u, v] = [tensor('float32', 2), tensor('float32', 1, 1)];
      const slots = {
        'u/m': tensor('float32', 2),
        'v/m': tensor('float32', 1, 1),
        'u/v': tensor('float32', 2),
        'v/v': tensor('float32', 1, 1),
      };
      const optimizer = {};
      const node: TrackableNode = {
        identity: optimizer,
        description: 'Adam',
        children: () => [
          ['beta1_power', tensor1],
          ['beta2_power', tensor2],
        ],
        *slots() {
          for (const [name, slot] of Object.entries(slots)) {
            yield { variable: name.startsWith('u') ? u : v, name: name.slice(2), slot };
          }
        },
      };
      const [tensor1, tensor2] = [tensor('float32'), tensor('float32')];
      const adapter: Adapter = { name: 't', adapt: (value) => (value === optimizer ? node : undefined) };
      const objects = { vars: { v, u }, optimizer };
      const ordered = Object.fromEntries(names.map((name) => [name, objects[name as 'vars']]));
      const status = await new Checkpoint(ordered, { adapters: [adapter] }).read(join(fixtures, 'slots/ckpt'));
      status.assertConsumed();
      for (const [name, want] of Object.entries(expected('slots'))) {
        expect(values(slots[name as keyof typeof slots]), name).toEqual((want as number[]).map(Math.fround));
      }
    }
  });

  it('that was written by name is matched by path', async () => {
    for (const nested of [true, false]) {
      const [kernel, bias] = [tensor('float32', 1, 2), tensor('float32', 2)];
      const step = new Counter();
      const objects = nested
        ? { dense: { kernel, bias }, global_step: step }
        : { 'dense/kernel': kernel, 'dense/bias': bias, global_step: step };
      const checkpoint = new Checkpoint(objects);
      (await checkpoint.restore(join(fixtures, 'names/ckpt'))).assertConsumed();
      expect([...values(kernel), ...values(bias), step.value]).toEqual([1, 2, 3, 4, 9]);
      expect(checkpoint.saveCounter.value).toBe(0);
      const other = await new Checkpoint({ dense: { kernel, scale: bias } }).read(join(fixtures, 'names/ckpt'));
      expect(other.unmatchedKeys.sort()).toEqual(['dense/bias', 'global_step']);
      expect(other.unmatchedObjects).toEqual(['dense/scale']);
    }
  });

  it('in a SavedModel’s directory is found there', async () => {
    const where = directory();
    mkdirSync(join(where, 'variables'));
    writeFileSync(join(where, 'saved_model.pb'), '');
    for (const suffix of ['.index', '.data-00000-of-00001']) {
      cpSync(join(fixtures, `cycle/ckpt${suffix}`), join(where, `variables/variables${suffix}`));
    }
    const value = tensor('float32');
    (await new Checkpoint({ b: { value } }).read(where)).assertConsumed();
    expect(values(value)).toEqual([2.5]);
  });
});
