import { execFileSync } from 'node:child_process';
import { unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  checkpointExists,
  checkpointsIterator,
  getCheckpointState,
  latestCheckpoint,
  listVariables,
  loadCheckpoint,
  loadVariable,
  removeCheckpoint,
  verifyCheckpoint,
} from '../../src/manager/index.ts';
import { filesIn, testDirectories } from '../support/directory.ts';
import { names, startRun } from './run.ts';

const directory = testDirectories();

async function saved(where: string, count = 2): Promise<void> {
  const run = startRun(where);
  for (let step = 1; step <= count; step++) await run.train(step);
  await run.manager.close();
}

describe('a directory', () => {
  it('5: latestCheckpoint checks the index, getCheckpointState does not', async () => {
    const where = directory();
    expect(await latestCheckpoint(where)).toBeNull();
    expect(await getCheckpointState(where)).toBeNull();
    expect(await latestCheckpoint(join(where, 'nowhere'))).toBeNull();
    await saved(where);
    expect(await latestCheckpoint(where)).toBe(join(where, 'ckpt-2'));
    expect(await getCheckpointState(where)).toEqual({
      modelCheckpointPath: join(where, 'ckpt-2'),
      allModelCheckpointPaths: [join(where, 'ckpt-1'), join(where, 'ckpt-2')],
      allModelCheckpointTimestamps: [1000001, 1000002],
      lastPreservedTimestamp: 999999,
    });
    unlinkSync(join(where, 'ckpt-2.index'));
    expect(await latestCheckpoint(where)).toBeNull();
    expect((await getCheckpointState(where))?.modelCheckpointPath).toBe(join(where, 'ckpt-2'));
  });

  it('10: an unparsable state file is ignored, a path-less one is an error', async () => {
    const where = directory();
    writeFileSync(join(where, 'checkpoint'), 'garbage {');
    expect(await getCheckpointState(where)).toBeNull();
    writeFileSync(join(where, 'checkpoint'), '');
    await expect(getCheckpointState(where)).rejects.toMatchObject({
      code: 'DATA_LOSS',
      path: join(where, 'checkpoint'),
    });
  });

  it('is read by its latest checkpoint, as a prefix is', async () => {
    const where = directory();
    await expect(loadCheckpoint(where)).rejects.toMatchObject({ code: 'NOT_FOUND', path: where });
    await saved(where);
    for (const from of [where, join(where, 'ckpt-2')]) {
      const found = (await listVariables(from)).map(({ name }) => name);
      expect(found).toContain('_CHECKPOINTABLE_OBJECT_GRAPH');
      expect(found).toContain('weights/.ATTRIBUTES/VARIABLE_VALUE');
      const weights = await loadVariable(from, 'weights/.ATTRIBUTES/VARIABLE_VALUE');
      expect([...(weights.data as Float32Array)]).toEqual([2, 2]);
      const reader = await loadCheckpoint(from);
      expect(reader.hasTensor('step/.ATTRIBUTES/VARIABLE_VALUE')).toBe(true);
      await reader.close();
    }
  });

  it('26: removeCheckpoint removes exactly a checkpoint’s files', async () => {
    const where = directory();
    await saved(where);
    writeFileSync(join(where, 'ckpt-1.meta'), '');
    expect(await checkpointExists(join(where, 'ckpt-1'))).toBe(true);
    await removeCheckpoint(join(where, 'ckpt-1'));
    expect(await checkpointExists(join(where, 'ckpt-1'))).toBe(false);
    expect(filesIn(where)).toEqual(['checkpoint', 'ckpt-1.meta', 'ckpt-2.data-00000-of-00001', 'ckpt-2.index']);
    await removeCheckpoint(join(where, 'ckpt-1'));
  });

  it('verifyCheckpoint reports a missing index and rejects on nothing else', async () => {
    const report = await verifyCheckpoint(join(directory(), 'ckpt-1'));
    expect(report).toMatchObject({ ok: false, problems: [{ code: 'NOT_FOUND' }] });
  });
});

it.each([undefined, '', 7, 'a\0b'])('a path of %j is refused', async (path) => {
  const given = path as string;
  for (const call of [latestCheckpoint, getCheckpointState, checkpointExists, loadCheckpoint, listVariables]) {
    await expect(call(given)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  }
});

describe('checkpointsIterator', () => {
  it('hands out each new checkpoint once, also before the directory exists, and ends when the time is over', async () => {
    const where = join(directory(), 'run');
    const run = startRun(where);
    const seen: string[] = [];
    const training = run.train(1);
    for await (const path of checkpointsIterator(where, { timeoutSeconds: 0.5 })) {
      await training;
      seen.push(...names([path]));
      if (seen.length < 3) await run.train(seen.length + 1);
    }
    expect(seen).toEqual(['ckpt-1', 'ckpt-2', 'ckpt-3']);
    await run.manager.close();
  });

  it('misses what came while nobody asked', async () => {
    const where = directory();
    await saved(where, 1);
    const iterator = checkpointsIterator(where, { timeoutSeconds: 0 });
    expect(names([(await iterator.next()).value])).toEqual(['ckpt-1']);
    const run = startRun(where);
    await run.manager.restoreOrInitialize();
    for (const step of [2, 3]) await run.train(step);
    await run.manager.close();
    expect(names([(await iterator.next()).value])).toEqual(['ckpt-3']);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('ends with ABORTED while it waits, and refuses options that make no sense', async () => {
    const controller = new AbortController();
    const iterator = checkpointsIterator(directory(), { signal: controller.signal });
    const next = iterator.next();
    setTimeout(() => controller.abort());
    await expect(next).rejects.toMatchObject({ code: 'ABORTED' });
    expect(() => checkpointsIterator('x', { timeoutSeconds: -1 })).toThrow(/timeoutSeconds/);
    expect(() => checkpointsIterator('x', { timeout: 1 } as never)).toThrow(/Did you mean|unknown option 'timeout'/);
  });
});

describe('what can not be a path or an option', () => {
  const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' });

  it.each([[undefined], [null], [1n], [Symbol('path')], [{}], [''], ['a\0b']])(
    '%s is refused by all that read',
    async (path) => {
      const given = path as string;
      for (const read of [latestCheckpoint, checkpointExists, removeCheckpoint, loadCheckpoint, verifyCheckpoint]) {
        await expect(read(given), read.name).rejects.toEqual(refused);
      }
      expect(() => checkpointsIterator(given)).toThrow(refused);
    },
  );

  it('is refused among the options of verifyCheckpoint and checkpointsIterator', async () => {
    for (const options of [
      { threads: -1 },
      { signal: {} },
      { onProgress: 1 },
      { stagingBytes: 1n },
      { atomic: true },
      null,
    ]) {
      await expect(verifyCheckpoint('/nowhere/ckpt', options as object)).rejects.toEqual(refused);
    }
    for (const options of [{ signal: {} }, { timeoutSeconds: Symbol('s') }, { minIntervalSeconds: Number.NaN }, null]) {
      expect(() => checkpointsIterator('/nowhere', options as object)).toThrow(refused);
    }
  });

  it('is refused by a reader', async () => {
    const where = directory();
    await saved(where, 1);
    const reader = await loadCheckpoint(where);
    for (const name of [undefined, null, Symbol('name'), 1n]) {
      await expect(reader.getTensor(name as unknown as string)).rejects.toEqual(refused);
    }
    for (const names of [null, 'weights', 3, {}]) {
      await expect(reader.getTensors(names as unknown as string[])).rejects.toEqual(refused);
    }
    await expect(reader.getTensor('weights', null as unknown as object)).rejects.toEqual(refused);
  });

  it('a directory is made absolute when it is given', async () => {
    const where = directory();
    await saved(where, 1);
    const home = process.cwd();
    process.chdir(where);
    const following = checkpointsIterator('.', { timeoutSeconds: 0 });
    const verifying = verifyCheckpoint('ckpt-1');
    process.chdir(home);
    expect(await following.next()).toEqual({ done: false, value: join(where, 'ckpt-1') });
    expect((await verifying).ok).toBe(true);
  });
});

describe('a pipe in the place of', () => {
  it('an index is damage, and nobody waits for it', async () => {
    const where = directory();
    execFileSync('mkfifo', [join(where, 'ckpt-1.index')]);
    await expect(loadCheckpoint(join(where, 'ckpt-1'))).rejects.toMatchObject({ code: 'DATA_LOSS' });
    expect((await verifyCheckpoint(join(where, 'ckpt-1'))).ok).toBe(false);
  });

  it('the state file is passed over with a warning, and nobody waits for it', async () => {
    const where = directory();
    execFileSync('mkfifo', [join(where, 'checkpoint')]);
    const run = startRun(where);
    await new Promise(setImmediate);
    await run.manager.close();
    expect(run.warnings).toMatchObject([{ kind: 'state', message: expect.stringMatching(/can't be used/) }]);
  });
});
