import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { verifyCheckpoint } from '../../src/manager/latest.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { testDirectories } from '../support/directory.ts';

const directory = testDirectories();

/** So many that columns with a number for each are the engine's memory, and are freed by name. */
const MANY = 600_000;

/** Tensors of one number, a thousand in a layer, and the numbers. */
function state(): { layers: { [name: string]: HostTensor }[]; numbers: Float32Array } {
  const numbers = new Float32Array(MANY);
  const layers = Array.from({ length: MANY / 1000 }, (_, layer) => {
    const tensors: { [name: string]: HostTensor } = {};
    for (let i = 0; i < 1000; i++) {
      const data = numbers.subarray(layer * 1000 + i, layer * 1000 + i + 1);
      tensors[`weight_${i}`] = new HostTensor({ dtype: 'float32', shape: [], data });
    }
    return tensors;
  });
  return { layers, numbers };
}

function fill(numbers: Float32Array, by: number): Float32Array {
  for (let i = 0; i < numbers.length; i++) numbers[i] = (i % 1000) + by;
  return numbers;
}

describe('a state of hundreds of thousands of tensors', () => {
  it('is saved, saved again, saved smaller after a save that was aborted, and restored', {
    timeout: 300_000,
  }, async () => {
    const where = directory();
    const { layers, numbers } = state();
    const checkpoint = new Checkpoint({ layers });
    const [first, again, smaller] = ['first', 'again', 'smaller'].map((name) => join(where, name)) as [
      string,
      string,
      string,
    ];
    fill(numbers, 1);
    await checkpoint.write(first);
    fill(numbers, 2);
    await checkpoint.write(again);
    await expect(checkpoint.write(join(where, 'aborted'), { signal: AbortSignal.timeout(20) })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    layers.length /= 2;
    fill(numbers, 3);
    await checkpoint.write(smaller);

    const restored = state();
    for (const [prefix, by, count] of [
      [first, 1, MANY],
      [again, 2, MANY],
      [smaller, 3, MANY / 2],
    ] as const) {
      expect((await verifyCheckpoint(prefix)).ok).toBe(true);
      const into = count === MANY ? restored.layers : restored.layers.slice(0, count / 1000);
      const status = await new Checkpoint({ layers: into }).read(prefix);
      status.assertConsumed();
      const expected = fill(new Float32Array(count), by);
      expect(Buffer.compare(Buffer.from(restored.numbers.buffer, 0, 4 * count), Buffer.from(expected.buffer))).toBe(0);
    }
  });
});
