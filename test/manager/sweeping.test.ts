import { existsSync, mkdirSync, readFileSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { verifyCheckpoint } from '../../src/manager/index.ts';
import { filesIn, testDirectories } from '../support/directory.ts';
import { names, startRun } from './run.ts';

const directory = testDirectories();
const HOUR = 3_600_000;
const MARK = '.index.tmp-4711-0123456789ab';

it('24: maxToKeep null deletes nothing, and the list grows', async () => {
  const run = startRun(directory(), { maxToKeep: null, keepCheckpointEveryNHours: 1 });
  for (const step of [1, 2, 3, 4]) {
    run.now += 2 * HOUR;
    await run.train(step);
  }
  expect(names(run.manager.checkpoints)).toEqual(['ckpt-1', 'ckpt-2', 'ckpt-3', 'ckpt-4']);
  await run.manager.close();
});

it('25: what is deleted and what preserved is told by events, and the state file says when', async () => {
  const where = directory();
  const run = startRun(where, { maxToKeep: 1, keepCheckpointEveryNHours: 1 });
  await run.train(1);
  run.now += HOUR;
  await run.train(2);
  await run.train(3);
  const told = run.events
    .filter(([name]) => name !== 'saved')
    .map(([name, { path }]) => [name, names([path as string])[0]]);
  expect(told).toEqual([
    ['deleted', 'ckpt-1'],
    ['preserved', 'ckpt-2'],
  ]);
  expect(filesIn(where).filter((name) => name.endsWith('.index'))).toEqual(['ckpt-2.index', 'ckpt-3.index']);
  expect(readFileSync(join(where, 'checkpoint'), 'utf8')).toContain('last_preserved_timestamp: 1003602.0\n');
  await run.manager.close();
});

it('26: exactly the checkpoint’s files are deleted, also where the directory’s name is a pattern', async () => {
  const where = join(directory(), 'g[1]*?');
  const run = startRun(where, { maxToKeep: 1 });
  await run.train(1);
  const others = ['ckpt-1.meta', 'ckpt-10.index', 'ckpt-1.data-00001-of-000004', 'ckpt-1.index.bak', 'xckpt-1.index'];
  for (const name of others) writeFileSync(join(where, name), '');
  writeFileSync(join(where, 'ckpt-1.data-00001-of-00004'), '');
  await run.train(2);
  expect(filesIn(where)).toEqual(['checkpoint', 'ckpt-2.data-00000-of-00001', 'ckpt-2.index', ...others].sort());
  await run.manager.close();
});

it('26: a file already gone is only a warning', async () => {
  const where = directory();
  const run = startRun(where, { maxToKeep: 1 });
  await run.train(1);
  unlinkSync(join(where, 'ckpt-1.index'));
  expect(await run.train(2)).toBe(join(where, 'ckpt-2'));
  expect(run.warnings).toEqual([expect.objectContaining({ kind: 'missing', path: join(where, 'ckpt-1.index') })]);
  await run.manager.close();
});

it('26: what can not be deleted is a warning, and no deleted event', async () => {
  const where = directory();
  const run = startRun(where, { maxToKeep: 1 });
  await run.train(1);
  unlinkSync(join(where, 'ckpt-1.index'));
  mkdirSync(join(where, 'ckpt-1.index'));
  expect(await run.train(2)).toBe(join(where, 'ckpt-2'));
  expect(run.warnings).toEqual([expect.objectContaining({ kind: 'unlink', path: join(where, 'ckpt-1.index') })]);
  expect(run.events.map(([name]) => name)).toEqual(['saved', 'saved']);
  await run.manager.close();
});

it('27: preserved checkpoints are in no list, and no later manager deletes them', async () => {
  const where = directory();
  const run = startRun(where, { maxToKeep: 1, keepCheckpointEveryNHours: 1 });
  for (const step of [1, 2, 3]) {
    run.now += HOUR;
    await run.train(step);
  }
  await run.manager.close();
  expect(readFileSync(join(where, 'checkpoint'), 'utf8')).not.toContain('ckpt-2');
  const later = startRun(where, { maxToKeep: 1 }, { now: run.now + HOUR });
  await turn();
  expect(later.warnings).toEqual([]);
  await later.manager.restoreOrInitialize();
  for (const step of [4, 5]) await later.train(step);
  expect(filesIn(where).filter((name) => name.endsWith('.index'))).toEqual([
    'ckpt-1.index',
    'ckpt-2.index',
    'ckpt-5.index',
  ]);
  await later.manager.close();
});

it('27: the first preservation counts from a second before the manager was made', async () => {
  const saveAfter = async (milliseconds: number) => {
    const run = startRun(directory(), { maxToKeep: 1, keepCheckpointEveryNHours: 1 });
    run.now += milliseconds - 1000;
    await run.train(1);
    await run.train(2);
    await run.manager.close();
    return run.events.some(([name]) => name === 'preserved');
  };
  expect(await saveAfter(HOUR - 1001)).toBe(false);
  expect(await saveAfter(HOUR - 1000)).toBe(true);
});

it('28: what killed saves have left is cleared away before the first save or restore resolves, and nothing else', async () => {
  const where = directory();
  const run = startRun(where, { maxToKeep: 5 });
  for (const step of [1, 2, 3]) await run.train(step);
  await run.manager.close();
  const touch = (name: string) => writeFileSync(join(where, name), 'x');
  // A save that died while it wrote a new prefix; one that died while it replaced ckpt-1; one that died after it had.
  for (const name of [`ckpt-4${MARK}`, 'ckpt-4.data-00000-of-00002', 'ckpt-4.data-00001-of-00002']) touch(name);
  for (const name of [`ckpt-1${MARK}`, 'ckpt-1.data-00000-of-00002']) touch(name);
  touch('ckpt-2.data-00000-of-00003');
  for (const name of ['checkpoint.tmp-4711-0123456789ab', 'checkpoint.tmp-4712-ba9876543210']) touch(name);
  const others = [
    'ckpt-7.data-00000-of-00001',
    `best${MARK}`,
    'best.data-00000-of-00001',
    'checkpoint.tmp',
    'notes.txt',
  ];
  for (const name of others) touch(name);
  const again = startRun(where, { maxToKeep: 5 });
  expect(await again.manager.restoreOrInitialize()).toBe(join(where, 'ckpt-3'));
  const whole = [1, 2, 3].flatMap((n) => [`ckpt-${n}.data-00000-of-00001`, `ckpt-${n}.index`]);
  expect(filesIn(where)).toEqual(['checkpoint', ...whole, ...others].sort());
  for (const n of [1, 2, 3]) expect((await verifyCheckpoint(join(where, `ckpt-${n}`))).ok).toBe(true);
  await again.manager.close();
});

it('28: a readOnly manager clears nothing away, and neither does one that is refused', async () => {
  const where = directory();
  writeFileSync(join(where, `ckpt-4${MARK}`), '');
  const reader = startRun(where, { readOnly: true });
  await reader.manager.restoreOrInitialize();
  await reader.manager.close();
  expect(existsSync(join(where, `ckpt-4${MARK}`))).toBe(true);
});

it('28: a whole checkpoint that a crash kept out of the state file stays, is warned of, and is overwritten by its number', async () => {
  const where = directory();
  const run = startRun(where);
  await run.train(1);
  await run.train(2);
  await run.manager.close();
  writeFileSync(
    join(where, 'checkpoint'),
    'model_checkpoint_path: "ckpt-1"\nall_model_checkpoint_paths: "ckpt-1"\nall_model_checkpoint_timestamps: 1000001.0\nlast_preserved_timestamp: 999999.0\n',
  );
  const past = new Date(Date.now() - 10_000);
  utimesSync(join(where, 'checkpoint'), past, past);
  const again = startRun(where, {}, { now: run.now });
  await again.manager.restoreOrInitialize();
  expect(again.warnings).toEqual([expect.objectContaining({ kind: 'unlisted', path: join(where, 'ckpt-2') })]);
  expect(again.step.value).toBe(1);
  expect(await again.train(7)).toBe(join(where, 'ckpt-2'));
  expect((await verifyCheckpoint(join(where, 'ckpt-2'))).ok).toBe(true);
  await again.manager.restoreOrInitialize();
  expect(again.step.value).toBe(7);
  await again.manager.close();
});
