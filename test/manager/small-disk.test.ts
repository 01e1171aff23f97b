import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { verifyCheckpoint } from '../../src/manager/index.ts';
import { filesIn, testDirectories } from '../support/directory.ts';
import { startRun } from './run.ts';

const directory = testDirectories();
const mounted: string[] = [];
// Runs before the directories are removed: hooks of a kind run last first.
afterEach(unmountAll);

function unmountAll(): void {
  for (const path of mounted.splice(0)) execFileSync('umount', ['-l', path]);
}

function mount(path: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', path], { stdio: 'ignore' });
  mounted.push(path);
}

function canMount(): boolean {
  const probe = mkdtempSync(join(tmpdir(), 'tensor-checkpoint-'));
  try {
    mount(probe);
    unmountAll();
    rmdirSync(probe);
    return true;
  } catch {
    rmdirSync(probe);
    process.stderr.write('skipped: a full and a read-only file system need the right to mount a tmpfs\n');
    return false;
  }
}

describe.skipIf(!canMount())('a small disk', () => {
  function contents(where: string): Record<string, string> {
    return Object.fromEntries(filesIn(where).map((name) => [name, readFileSync(join(where, name), 'base64')]));
  }

  it('18: wherever in a save the disk is full, everything stays as it was, and the retry saves', async () => {
    const where = directory();
    mount(where);
    const run = startRun(where, { maxToKeep: 2 }, { size: 5000 });
    await run.train(1);
    await run.train(2);
    const outcomes = new Set<string>();
    // A save takes some nine pages: this fills the disk before, within and after the data, the index, the state files.
    for (let pages = 0; pages < 12; pages++) {
      const { bavail, bsize } = statfsSync(where);
      writeFileSync(join(where, 'filler'), new Uint8Array((bavail - pages) * bsize));
      const before = { ...contents(where), filler: '' };
      const { checkpoints, latestCheckpoint } = run.manager;
      const counter = run.checkpoint.saveCounter.value;
      let failure: unknown;
      await run.manager.save().catch((error) => {
        failure = error;
      });
      if (failure === undefined) outcomes.add('saved');
      else {
        outcomes.add('failed');
        expect(failure).toMatchObject({ code: 'NO_SPACE', errno: 'ENOSPC' });
        expect({ ...contents(where), filler: '' }, `${pages} pages left`).toEqual(before);
        expect([run.manager.checkpoints, run.manager.latestCheckpoint]).toEqual([checkpoints, latestCheckpoint]);
        expect(run.checkpoint.saveCounter.value).toBe(counter);
      }
      rmSync(join(where, 'filler'));
      expect(await run.manager.save()).not.toBeNull();
      expect((await verifyCheckpoint(run.manager.latestCheckpoint!)).ok).toBe(true);
    }
    expect([...outcomes].sort()).toEqual(['failed', 'saved']);
    await run.manager.close();
  });

  it('18: a file system that is read-only fails the save and changes nothing', async () => {
    const where = directory();
    mount(where);
    const run = startRun(where);
    await run.train(1);
    const before = contents(where);
    execFileSync('mount', ['-o', 'remount,ro', where]);
    await expect(run.manager.save()).rejects.toMatchObject({ code: 'IO_ERROR', errno: 'EROFS' });
    expect(contents(where)).toEqual(before);
    expect(run.manager.latestCheckpoint).toBe(join(where, 'ckpt-1'));
    execFileSync('mount', ['-o', 'remount,rw', where]);
    expect(await run.manager.save()).toBe(join(where, 'ckpt-2'));
    await run.manager.close();
  });
});
