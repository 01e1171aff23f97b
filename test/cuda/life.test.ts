import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { verifyCheckpoint } from '../../src/index.ts';
import { compileChild } from '../support/child.ts';
import { describeStandin, STANDIN, type StandinState } from '../support/cuda.ts';
import { filesIn, testDirectories } from '../support/directory.ts';

const directory = testDirectories();

async function live(stage: string, env: Record<string, string> = {}) {
  const child = await compileChild(new URL('./life-child.ts', import.meta.url));
  const path = directory();
  const report = join(directory(), 'report.json');
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [child, stage, path], {
    env: { ...process.env, TENSOR_CHECKPOINT_CUDA_LIBRARY: STANDIN, STANDIN_CUDA_REPORT: report, ...env },
    encoding: 'utf8',
    timeout: 50_000,
  });
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
  const { calls, ...left } = JSON.parse(readFileSync(report, 'utf8')) as StandinState;
  return { path, stdout, left, calls };
}

/** The primary context stays, as the driver's own at the end of a process. */
const NOTHING = {
  deviceAllocations: 0,
  deviceBytes: 0,
  hostAllocations: 0,
  lockedBytes: 0,
  streams: 0,
  events: 0,
  modules: 0,
};

describeStandin('a process with device tensors', () => {
  test('gives all of it back at its end', async () => {
    const { stdout, left, path } = await live('kept');
    expect(stdout).toBe('saved\n');
    expect(left).toMatchObject(NOTHING);
    expect((await verifyCheckpoint(join(path, 'ckpt-1'))).ok).toBe(true);
  });

  test('stays until a save has ended', async () => {
    const { stdout, left, path } = await live('natural-end-while-saving', { STANDIN_CUDA_COPY_MICROSECONDS: '50000' });
    expect(stdout).toBe('saved\n');
    expect(left).toMatchObject(NOTHING);
    expect((await verifyCheckpoint(join(path, 'ckpt-1'))).ok).toBe(true);
  });

  test.each(['exit-while-saving', 'copying', 'worker-terminated'])('ends cleanly at %s', async (stage) => {
    const { left, path } = await live(stage, { STANDIN_CUDA_COPY_MICROSECONDS: '20000' });
    // process.exit() leaves to the driver what tensors have; a worker's end leaves nothing.
    if (stage === 'worker-terminated') expect(left).toMatchObject(NOTHING);
    if (filesIn(path).some((name) => name.endsWith('.index'))) {
      expect((await verifyCheckpoint(join(path, 'ckpt-1'))).ok).toBe(true);
    } else {
      expect(filesIn(path)).toEqual([]);
    }
  });
});
