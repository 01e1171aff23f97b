import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Checkpoint, Counter } from '../../src/checkpoint/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { compileChild, startChild } from '../support/child.ts';
import { filesIn, testDirectories } from '../support/directory.ts';

const directory = testDirectories();

it.each(['plain', 'async'])('a save (%s) commits while JavaScript never yields, and survives SIGKILL', async (mode) => {
  const where = directory();
  const stop = join(directory(), 'stop');
  const child = startChild(await compileChild(new URL('./deaf-child.ts', import.meta.url)), [
    join(where, 'ckpt'),
    stop,
    mode,
  ]);
  const exited = once(child, 'exit');
  try {
    // The state file is the last that a save publishes. The child is deaf until we tell it to die.
    while (!existsSync(join(where, 'checkpoint')) && child.exitCode === null && child.signalCode === null)
      await sleep(5);
    expect(child.signalCode, 'committed while the child was still spinning').toBeNull();
  } finally {
    writeFileSync(stop, '');
  }
  expect(await exited).toEqual([null, 'SIGKILL']);
  expect(readFileSync(join(where, 'checkpoint'), 'utf8')).toMatch(/^model_checkpoint_path: "ckpt-1"/);
  expect(filesIn(where)).toEqual(['checkpoint', 'ckpt-1.data-00000-of-00001', 'ckpt-1.index']);

  const weights = HostTensor.allocate({ dtype: 'uint8', shape: [16 * 1024 * 1024] });
  const step = new Counter();
  (await new Checkpoint({ step, weights }).restore(join(where, 'ckpt-1'))).assertConsumed();
  expect(step.value).toBe(42);
  expect(weights.bytes.every((byte) => byte === 7)).toBe(true);
});
