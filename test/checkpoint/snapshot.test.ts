import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Checkpoint, Counter } from '../../src/checkpoint/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { testDirectories } from '../support/directory.ts';

const directory = testDirectories();
const BYTES = 8 * 1024 * 1024;

function state() {
  return {
    own: HostTensor.allocate({ dtype: 'uint8', shape: [BYTES] }),
    typed: new HostTensor({ dtype: 'float32', shape: [BYTES / 4], data: new Float32Array(BYTES / 4) }),
    odd: new HostTensor({ dtype: 'uint8', shape: [1001], data: new Uint8Array(2000).subarray(7, 1008) }),
    step: new Counter(),
    text: { value: '', serialize: () => '', deserialize() {} },
  };
}

function fill(of: ReturnType<typeof state>, value: number): void {
  of.own.bytes.fill(value);
  (of.typed.data as Float32Array).fill(value);
  of.odd.bytes.fill(value);
  of.step.value = value;
}

it('training that goes on during an asynchronous save changes nothing that is saved', async () => {
  const where = directory();
  const training = state();
  const checkpoint = new Checkpoint(training);
  const paths: string[] = [];
  for (let step = 1; step <= 6; step++) {
    fill(training, step);
    paths.push(await checkpoint.save(join(where, 'ckpt'), { enableAsync: true }));
    // At once, while the bytes are on their way to the disk.
    fill(training, 100 + step);
  }
  await checkpoint.sync();
  for (const [i, path] of paths.entries()) {
    const restored = state();
    (await new Checkpoint(restored).restore(path)).assertConsumed();
    expect(restored.step.value).toBe(i + 1);
    for (const tensor of [restored.own, restored.typed, restored.odd]) {
      expect((tensor.data as Uint8Array).every((value) => value === i + 1)).toBe(true);
    }
  }
});

it('memory that changes during a borrowing save still passes its own checksum', async () => {
  const where = directory();
  const training = state();
  const checkpoint = new Checkpoint(training);
  fill(training, 1);
  let done = false;
  const saving = checkpoint.save(join(where, 'ckpt')).finally(() => {
    done = true;
  });
  for (let step = 2; !done; step++) {
    fill(training, step % 200);
    await new Promise(setImmediate);
  }
  const restored = state();
  (await new Checkpoint(restored).restore(await saving)).assertConsumed();
});
