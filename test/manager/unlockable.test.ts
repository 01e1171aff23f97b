import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { CheckpointError } from '../../src/errors.ts';
import { testDirectories } from '../support/directory.ts';
import { startRun } from './run.ts';

// A file system that can't lock a directory, as NFS can't.
vi.mock('../../src/native/engine.ts', async (original) => ({
  ...(await original<typeof import('../../src/native/engine.ts')>()),
  lockDirectorySync: () => {
    throw new CheckpointError('UNSUPPORTED', 'flock: operation not supported', { errno: 'EOPNOTSUPP' });
  },
}));

const directory = testDirectories();

it('11: where a directory can not be locked there is a warning, and the manager works without', async () => {
  const where = directory();
  const run = startRun(where);
  await turn();
  expect(run.warnings).toEqual([
    expect.objectContaining({ kind: 'lock', path: where, message: expect.stringContaining("can't be locked") }),
  ]);
  expect(await run.train(1)).toBe(join(where, 'ckpt-1'));
  await run.manager.close();
});

it('28: without the lock nothing is cleared away: it may be another manager’s save under way', async () => {
  const where = directory();
  const mark = join(where, 'ckpt-4.index.tmp-4711-0123456789ab');
  writeFileSync(mark, '');
  const run = startRun(where);
  await run.train(1);
  await run.manager.close();
  expect(existsSync(mark)).toBe(true);
});
