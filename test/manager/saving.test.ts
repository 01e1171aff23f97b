import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Counter } from '../../src/checkpoint/counter.ts';
import { loadVariable, verifyCheckpoint } from '../../src/manager/index.ts';
import { shouldSave } from '../../src/manager/save-decision.ts';
import { freshState, fromDirectory, toStateFile, withSaved } from '../../src/manager/state.ts';
import { compileChild, startChild } from '../support/child.ts';
import { filesIn, testDirectories } from '../support/directory.ts';
import { names, startRun } from './run.ts';

const directory = testDirectories();
const stateOf = (where: string) => readFileSync(join(where, 'checkpoint'), 'utf8');
const counterKey = 'save_counter/.ATTRIBUTES/VARIABLE_VALUE';

async function numberStored(prefix: string): Promise<bigint> {
  return ((await loadVariable(prefix, counterKey)).data as BigInt64Array)[0]!;
}

describe('the state file', () => {
  it('13: is written under a temporary name and renamed: none is left, and the old one was not written to', async () => {
    const where = directory();
    const run = startRun(where);
    await run.train(1);
    const before = statSync(join(where, 'checkpoint')).ino;
    await run.train(2);
    expect(statSync(join(where, 'checkpoint')).ino).not.toBe(before);
    expect(filesIn(where).filter((name) => name.includes('tmp'))).toEqual([]);
    await run.manager.close();
  });

  it('14: its paths are relative to the directory; absolute ones are left alone when read', async () => {
    const where = directory();
    const elsewhere = directory();
    const other = startRun(elsewhere);
    await other.train(1);
    await other.manager.close();
    writeFileSync(
      join(where, 'checkpoint'),
      `model_checkpoint_path: "${elsewhere}/ckpt-1" all_model_checkpoint_paths: "${elsewhere}/ckpt-1" all_model_checkpoint_timestamps: 999990 last_preserved_timestamp: 999000`,
    );
    const run = startRun(where);
    expect(await run.manager.restoreOrInitialize()).toBe(join(elsewhere, 'ckpt-1'));
    await run.train(2);
    expect(run.manager.checkpoints).toEqual([join(elsewhere, 'ckpt-1'), join(where, 'ckpt-2')]);
    expect(stateOf(where)).toMatch(
      /all_model_checkpoint_paths: "\.\.\/.*\/ckpt-1"\nall_model_checkpoint_paths: "ckpt-2"\n/,
    );
    await run.manager.close();
    expect(fromDirectory('/d', 'a/b')).toBe('/d/a/b');
    expect(fromDirectory('/d', '/a/b')).toBe('/a/b');
  });

  it('15: a latest that is not the last of the list is appended, and must not be the state file itself', () => {
    const state = { ...freshState(10), latest: '/d/b', managed: new Map([['/d/a', 5]]) };
    expect(toStateFile(state, '/d', '/d/checkpoint').allModelCheckpointPaths).toEqual(['a', 'b']);
    expect(() => toStateFile(withSaved(state, '/d/checkpoint', 6), '/d', '/d/checkpoint')).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('state file') }),
    );
  });
});

describe('when to save', () => {
  it.each([
    // interval, last step, step, checkInterval → saves
    [null, null, 0, true, true],
    [null, 5, 5, true, true],
    [3, null, 5, true, true],
    [3, 5, 5, true, false],
    [3, 5, 5, false, false],
    [3, 5, 7, true, false],
    [3, 5, 7, false, true],
    [3, 5, 8, true, true],
    [3, 5, 100, true, true],
    [3, 5, 4, true, false],
    [3, 5, 4, false, true],
    [0, 5, 5, true, false],
    [0, 5, 6, true, true],
  ])('16: interval %s, last %s, step %s, checkInterval %s → %s', (interval, lastStep, step, checkInterval, saves) => {
    expect(shouldSave({ interval, lastStep, step, checkInterval })).toBe(saves);
  });

  it('16: between two saves of a run lies at least the interval, and none is later than it has to be', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.array(fc.integer({ min: 1, max: 4 })), (interval, gaps) => {
        let lastStep: number | null = null;
        let step = 0;
        for (const gap of [0, ...gaps]) {
          step += gap;
          const due: boolean = lastStep === null || step - lastStep >= interval;
          expect(shouldSave({ interval, lastStep, step, checkInterval: true })).toBe(due);
          if (due) lastStep = step;
        }
      }),
    );
  });

  it('16: a save that is not due returns null and changes nothing', async () => {
    const where = directory();
    const run = startRun(where, { checkpointInterval: 5 }, { stepped: true });
    expect(await run.train(3)).toBe(join(where, 'ckpt-1'));
    expect(await run.train(7)).toBeNull();
    expect(await run.manager.save({ checkInterval: false })).toBe(join(where, 'ckpt-2'));
    expect(await run.manager.save({ checkInterval: false })).toBeNull();
    expect(run.checkpoint.saveCounter.value).toBe(2);
    expect(await run.train(12)).toBe(join(where, 'ckpt-3'));
    await run.manager.close();
  });

  it('17: lastCheckpointStep is where the first interval begins', async () => {
    const options = { checkpointInterval: 5, lastCheckpointStep: 10 };
    const run = startRun(directory(), options, { stepped: true });
    expect(await run.train(10)).toBeNull();
    expect(await run.train(14)).toBeNull();
    expect(await run.train(15)).not.toBeNull();
    await run.manager.close();
  });
});

describe('a failed save', () => {
  it('18: changes nothing, and the retry at the same step saves under the same number', async () => {
    const where = directory();
    const run = startRun(where, { checkpointInterval: 2, checkpointName: 'sub/ck' }, { stepped: true });
    await run.train(2);
    const before = { files: filesIn(where), state: stateOf(where), checkpoints: run.manager.checkpoints };
    run.step.value = 4;
    // A directory in the way of the index's name: the rename, late in the save, fails.
    mkdirSync(join(where, 'sub/ck-2.index/x'), { recursive: true });
    await expect(run.manager.save()).rejects.toMatchObject({ name: 'CheckpointError' });
    rmSync(join(where, 'sub/ck-2.index'), { recursive: true });
    expect({ files: filesIn(where), state: stateOf(where), checkpoints: run.manager.checkpoints }).toEqual(before);
    expect(run.checkpoint.saveCounter.value).toBe(1);
    expect(run.manager.latestCheckpoint).toBe(join(where, 'sub/ck-1'));
    expect(await run.manager.save()).toBe(join(where, 'sub/ck-2'));
    await run.manager.close();
  });

  it('18: a write callback that throws takes the new checkpoint back, and leaves a replaced one with its new content', async () => {
    const where = directory();
    const run = startRun(where);
    await run.train(1);
    const before = { files: filesIn(where), state: stateOf(where) };
    const writeCallbacks = [() => Promise.reject(new Error('refused'))];
    run.step.value = 2;
    await expect(run.manager.save({ writeCallbacks })).rejects.toThrow(/refused.*ckpt-2 was removed again/);
    expect({ files: filesIn(where), state: stateOf(where) }).toEqual(before);
    await expect(run.manager.save({ writeCallbacks, checkpointNumber: 1 })).rejects.toThrow(
      /holds the new content, whole/,
    );
    expect(stateOf(where)).toBe(before.state);
    expect(run.checkpoint.saveCounter.value).toBe(1);
    await run.manager.restoreOrInitialize();
    expect(run.step.value).toBe(2);
    expect(await run.train(3)).toBe(join(where, 'ckpt-3'));
    await run.manager.close();
  });

  it('18: a full disk leaves everything as it was', async () => {
    const where = directory();
    const script = await compileChild(new URL('./children/full-disk.ts', import.meta.url));
    // RLIMIT_FSIZE stands in for a small disk: writing beyond it fails with EFBIG.
    const output = execFileSync(
      'bash',
      ['-c', `trap '' XFSZ; ulimit -f 64; exec "${process.execPath}" "${script}" "${where}"`],
      { encoding: 'utf8' },
    );
    expect(JSON.parse(output)).toEqual({
      failed: expect.stringMatching(/NO_SPACE|IO_ERROR/),
      latest: 'ckpt-1',
      counter: 1,
      next: 'ckpt-2',
    });
    expect(
      filesIn(where).filter((name) => !/^(checkpoint|ckpt-[12]\.(index|data-\d{5}-of-\d{5}))$/.test(name)),
    ).toEqual([]);
    expect((await verifyCheckpoint(join(where, 'ckpt-2'))).ok).toBe(true);
  });
});

describe('numbering', () => {
  it('19: the save counter counts from 1 and is stored; a given number does not replace it', async () => {
    const where = directory();
    const run = startRun(where, { maxToKeep: null });
    expect(await run.manager.save()).toBe(join(where, 'ckpt-1'));
    expect(await run.manager.save({ checkpointNumber: 0 })).toBe(join(where, 'ckpt-0'));
    expect(await run.manager.save({ checkpointNumber: -3 })).toBe(join(where, 'ckpt--3'));
    const number = new Counter(70);
    expect(await run.manager.save({ checkpointNumber: number })).toBe(join(where, 'ckpt-70'));
    expect(number.value).toBe(70);
    expect(await run.manager.save()).toBe(join(where, 'ckpt-5'));
    expect(await numberStored(join(where, 'ckpt-70'))).toBe(4n);
    await run.manager.close();
  });

  it.each([1.5, Number.NaN, '3', 3n, null, {}])('19: checkpointNumber %s is refused', async (checkpointNumber) => {
    const run = startRun(directory());
    const options = { checkpointNumber } as Parameters<typeof run.manager.save>[0];
    await expect(run.manager.save(options)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('checkpointNumber'),
    });
    await expect(run.manager.save({ checkpointNumbr: 3 } as never)).rejects.toThrow(/Did you mean 'checkpointNumber'/);
    expect(run.checkpoint.saveCounter.value).toBe(0);
    await run.manager.close();
  });

  it('20: a name saved again moves to the end with a new timestamp', async () => {
    const where = directory();
    const run = startRun(where);
    await run.manager.save({ checkpointNumber: 1 });
    run.now += 1000;
    await run.manager.save({ checkpointNumber: 2 });
    run.now += 1000;
    run.step.value = 9;
    await run.manager.save({ checkpointNumber: 1 });
    expect(names(run.manager.checkpoints)).toEqual(['ckpt-2', 'ckpt-1']);
    expect(stateOf(where)).toMatch(
      /"ckpt-2"\n.*"ckpt-1"\nall_model_checkpoint_timestamps: 1000001.0\nall_model_checkpoint_timestamps: 1000002.0\n/,
    );
    run.step.value = 0;
    await run.manager.restoreOrInitialize();
    expect(run.step.value).toBe(9);
    await run.manager.close();
  });

  it('21: the timestamp is that of the moment when the state file is composed', async () => {
    const where = directory();
    const run = startRun(where);
    const done = run.manager.save();
    run.now += 60_000;
    await done;
    expect(stateOf(where)).toContain('all_model_checkpoint_timestamps: 1000000.0\n');
    const advance = () => {
      run.now += 1000;
    };
    await run.manager.save({ writeCallbacks: [advance] });
    expect(stateOf(where)).toContain('all_model_checkpoint_timestamps: 1000061.0\n');
    await run.manager.close();
  });

  it('22: write callbacks run in their order before the manager’s own, and the options stay as they were', async () => {
    const where = directory();
    const run = startRun(where);
    const seen: unknown[] = [];
    const note = (tag: string) => (path: string) => {
      seen.push([
        tag,
        names([path])[0],
        run.manager.latestCheckpoint,
        existsSync(`${path}.index`),
        existsSync(join(where, 'checkpoint')),
      ]);
    };
    const options = Object.freeze({
      writeCallbacks: Object.freeze([note('a'), async (path: string) => note('b')(path)]) as never,
    });
    await run.manager.save(options);
    expect(seen).toEqual([
      ['a', 'ckpt-1', null, true, false],
      ['b', 'ckpt-1', null, true, false],
    ]);
    expect(run.manager.latestCheckpoint).toBe(join(where, 'ckpt-1'));
    await run.manager.close();
  });
});

describe('asynchronous saves', () => {
  it('23: resolve once captured; latest changes when the write has ended; sync waits', async () => {
    const where = directory();
    const run = startRun(where);
    const path = await run.manager.save({ enableAsync: true });
    run.step.value = 99;
    (run.weights.data as Float32Array).fill(99);
    expect(path).toBe(join(where, 'ckpt-1'));
    await run.manager.sync();
    expect(run.manager.latestCheckpoint).toBe(path);
    expect(names(run.manager.checkpoints)).toEqual(['ckpt-1']);
    await run.manager.restoreOrInitialize();
    expect(run.step.value).toBe(0);
    expect([...(run.weights.data as Float32Array)]).toEqual([0, 0]);
    await run.manager.close();
  });

  it('23: saves asked for at once are done one after the other, each with its own number', async () => {
    const where = directory();
    const run = startRun(where, { maxToKeep: null });
    const paths = await Promise.all([1, 2, 3].map(() => run.manager.save({ enableAsync: true })));
    expect(names(paths as string[])).toEqual(['ckpt-1', 'ckpt-2', 'ckpt-3']);
    await run.manager.sync();
    for (const [i, path] of paths.entries()) expect(await numberStored(path!)).toBe(BigInt(i + 1));
    await run.manager.close();
  });

  it("23: whenBusy: 'skip' returns null while a save is under way", async () => {
    const run = startRun(directory());
    const first = run.manager.save();
    expect(await run.manager.save({ whenBusy: 'skip' })).toBeNull();
    expect(await first).not.toBeNull();
    expect(await run.manager.save({ whenBusy: 'skip' })).not.toBeNull();
    await run.manager.close();
  });

  async function failing(where: string) {
    const run = startRun(where);
    await run.train(1);
    await run.train(2);
    await run.train(3);
    mkdirSync(join(where, 'ckpt-4.index/x'), { recursive: true });
    await run.manager.save({ enableAsync: true });
    return run;
  }

  it('23: a failure in the background is raised by sync(), once, and nothing was deleted', async () => {
    const where = directory();
    const run = await failing(where);
    await expect(run.manager.sync()).rejects.toMatchObject({ name: 'CheckpointError' });
    await run.manager.sync();
    expect(run.checkpoint.saveCounter.value).toBe(3);
    expect(existsSync(join(where, 'ckpt-1.index'))).toBe(true);
    expect(names(run.manager.checkpoints)).toEqual(['ckpt-1', 'ckpt-2', 'ckpt-3']);
    rmSync(join(where, 'ckpt-4.index'), { recursive: true });
    expect(await run.train(4)).toBe(join(where, 'ckpt-4'));
    await run.manager.close();
  });

  it('23: … by the next save, which then saves nothing, also where it was asked for at once', async () => {
    const where = directory();
    const run = await failing(where);
    await expect(run.manager.save()).rejects.toMatchObject({ name: 'CheckpointError' });
    rmSync(join(where, 'ckpt-4.index'), { recursive: true });
    expect(await run.manager.save()).toBe(join(where, 'ckpt-4'));
    await run.manager.close();
  });

  it('23: … and by close(), which closes all the same', async () => {
    const where = directory();
    const run = await failing(where);
    await expect(run.manager.close()).rejects.toMatchObject({ name: 'CheckpointError' });
    await run.manager.close();
    const again = startRun(where);
    await again.manager.close();
  });

  it('23: of a handle whose committed promise is awaited the failure is raised there, and only there', async () => {
    const where = directory();
    const run = startRun(where);
    mkdirSync(join(where, 'ckpt-1.index/x'), { recursive: true });
    const handle = run.manager.begin()!;
    await expect(handle.committed).rejects.toMatchObject({ name: 'CheckpointError' });
    await run.manager.sync();
    run.manager.begin();
    await expect(run.manager.sync()).rejects.toMatchObject({ name: 'CheckpointError' });
    await run.manager.close();
  });

  it('23: begin() submits before it returns: the save commits although JavaScript never yields', async () => {
    const where = directory();
    const script = await compileChild(new URL('./children/deaf.ts', import.meta.url));
    const child = startChild(script, [where]);
    const exited = once(child, 'exit');
    try {
      const state = join(where, 'checkpoint');
      while (!existsSync(state) && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
      expect(stateOf(where)).toContain('model_checkpoint_path: "ckpt-1"');
    } finally {
      child.kill('SIGKILL');
      await exited;
    }
    const run = startRun(where, {}, { size: 1000 });
    expect(await run.manager.restoreOrInitialize()).toBe(join(where, 'ckpt-1'));
    expect(run.step.value).toBe(41);
    await run.manager.close();
  });
});

it('18: an aborted save changes nothing, whether it has begun or waits', async () => {
  const where = directory();
  const run = startRun(where);
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(run.manager.save({ signal })).rejects.toMatchObject({ code: 'ABORTED' });
  const first = run.manager.begin()!;
  const waiting = run.manager.begin()!;
  expect(waiting.path).toBe(join(where, 'ckpt-2'));
  waiting.abort();
  await expect(waiting.committed).rejects.toMatchObject({ code: 'ABORTED' });
  expect(await first.committed).toBe(join(where, 'ckpt-1'));
  expect(await run.train(1)).toBe(join(where, 'ckpt-2'));
  await run.manager.close();
  expect(filesIn(where)).toHaveLength(5);
});
