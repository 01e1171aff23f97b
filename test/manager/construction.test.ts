import { existsSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/checkpoint.ts';
import { CheckpointManager, latestCheckpoint } from '../../src/manager/index.ts';
import { compileChild, startChild } from '../support/child.ts';
import { filesIn, testDirectories } from '../support/directory.ts';
import { names, START, startRun, stateText } from './run.ts';

const directory = testDirectories();

function construct(options: unknown): () => unknown {
  return () => new CheckpointManager(new Checkpoint({}), options as ConstructorParameters<typeof CheckpointManager>[1]);
}

const invalid = (message: RegExp) =>
  expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) });

describe('construction', () => {
  it.each([0, -1, 1.5, Number.NaN, undefined, '3'])(
    '1: maxToKeep %s is refused, a positive integer or null is required',
    (maxToKeep) => {
      expect(construct({ directory: directory(), maxToKeep })).toThrow(
        invalid(/maxToKeep must be given, as a positive integer or as null/),
      );
    },
  );

  it('1: misspelt and unknown options are refused by name, with what was meant', () => {
    const where = { directory: directory(), maxToKeep: 1 };
    expect(construct({ ...where, max_to_keep: 3 })).toThrow(invalid(/'max_to_keep'. Did you mean 'maxToKeep'/));
    expect(construct({ ...where, checkpointIntervall: 3 })).toThrow(invalid(/Did you mean 'checkpointInterval'/));
    expect(construct({ ...where, colour: 'red' })).toThrow(invalid(/unknown option 'colour'. Known: directory/));
    expect(construct({ ...where, write: { shard: 2 } })).toThrow(
      invalid(/write: unknown option 'shard'. Did you mean 'shards'/),
    );
    expect(construct({ ...where, read: { verfy: true } })).toThrow(invalid(/read: unknown option 'verfy'/));
  });

  it.each([
    ['directory', ''],
    ['directory', 7],
    ['directory', new URL('http://example.org/run')],
    ['checkpointName', ''],
    ['checkpointName', '/ckpt'],
    ['checkpointName', '../ckpt'],
    ['checkpointName', 'sub/'],
    ['keepCheckpointEveryNHours', -1],
    ['keepCheckpointEveryNHours', Number.NaN],
    ['lastCheckpointStep', 0.5],
    ['onDamaged', 'ignore'],
    ['clock', 1000],
    ['clock', () => Symbol('now')],
    ['initFn', 'init'],
    ['readOnly', 'yes'],
    ['stepCounter', 3],
  ])('1: %s: %j is refused by name', (name, value) => {
    expect(construct({ directory: directory(), maxToKeep: 1, [name]: value })).toThrow(invalid(new RegExp(name)));
  });

  it('2: checkpointInterval without a stepCounter is refused', () => {
    expect(construct({ directory: directory(), maxToKeep: 1, checkpointInterval: 5 })).toThrow(invalid(/stepCounter/));
  });

  it('3: the directory is made by the first save, with its parents', async () => {
    const where = join(directory(), 'a', 'b');
    const run = startRun(where);
    await turn();
    expect(existsSync(where)).toBe(false);
    await run.train(1);
    expect(filesIn(where)).toEqual(['checkpoint', 'ckpt-1.data-00000-of-00001', 'ckpt-1.index']);
    await run.manager.close();
  });

  it('3: a name with a slash saves in a subdirectory, the state file stays', async () => {
    const where = directory();
    const run = startRun(where, { checkpointName: 'sub/ck' });
    expect(await run.train(1)).toBe(join(where, 'sub/ck-1'));
    expect(filesIn(where)).toEqual(['checkpoint', 'sub/ck-1.data-00000-of-00001', 'sub/ck-1.index']);
    expect(readFileSync(join(where, 'checkpoint'), 'utf8')).toMatch(/^model_checkpoint_path: "sub\/ck-1"\n/);
    await run.manager.close();
  });

  it('3: the directory may be a file URL or relative, prefixes are absolute', async () => {
    const where = directory();
    const run = startRun(relative(process.cwd(), where));
    expect(run.manager.directory).toBe(where);
    await run.manager.close();
    const other = startRun(where, { directory: pathToFileURL(where) });
    expect(await other.train(1)).toBe(join(where, 'ckpt-1'));
    await other.manager.close();
  });

  it('4: without a state file there is no latest, and preserving counts from a second before now', async () => {
    const where = directory();
    const run = startRun(where);
    expect(run.manager.latestCheckpoint).toBeNull();
    expect(run.manager.checkpoints).toEqual([]);
    await run.manager.save();
    expect(readFileSync(join(where, 'checkpoint'), 'utf8')).toContain(
      `last_preserved_timestamp: ${START / 1000 - 1}.0\n`,
    );
    await run.manager.close();
  });

  it('5: the latest is what the state file says, whether its files exist or not', async () => {
    const where = directory();
    writeFileSync(join(where, 'checkpoint'), stateText('ckpt-7', ['ckpt-7'], ['999990.0']));
    const run = startRun(where);
    expect(run.manager.latestCheckpoint).toBe(join(where, 'ckpt-7'));
    expect(await latestCheckpoint(where)).toBeNull();
    await run.manager.close();
  });

  it('6: only what is younger than the last preserved is managed, and the future is now', async () => {
    const where = directory();
    const times = ['999000.0', '999000.1', '5000000.0'];
    writeFileSync(join(where, 'checkpoint'), stateText('c-3', ['c-1', 'c-2', 'c-3'], times));
    const run = startRun(where, { checkpointName: 'c', maxToKeep: 5 });
    expect(names(run.manager.checkpoints)).toEqual(['c-2', 'c-3']);
    await run.manager.save({ checkpointNumber: 9 });
    expect(readFileSync(join(where, 'checkpoint'), 'utf8')).toContain(
      'timestamps: 999000.1\nall_model_checkpoint_timestamps: 1000000.0\n',
    );
    await run.manager.close();
  });

  it('7: without timestamps nothing is managed, and latest is set', async () => {
    const where = directory();
    writeFileSync(join(where, 'checkpoint'), stateText('c-2', ['c-1', 'c-2'], []));
    const run = startRun(where);
    expect(run.manager.checkpoints).toEqual([]);
    expect(run.manager.latestCheckpoint).toBe(join(where, 'c-2'));
    await run.manager.close();
  });

  it('7: fewer timestamps than paths: the rest is dropped, with a warning naming it', async () => {
    const where = directory();
    writeFileSync(join(where, 'checkpoint'), stateText('c-2', ['c-1', 'c-2'], ['999990.0']));
    const run = startRun(where);
    expect(names(run.manager.checkpoints)).toEqual(['c-1']);
    expect(run.warnings).toEqual([]); // A listener set after construction hears it all the same:
    await turn();
    expect(run.warnings).toEqual([
      expect.objectContaining({ kind: 'timestamps', message: expect.stringContaining('c-2') }),
    ]);
    await run.manager.close();
  });

  it('8: a clock behind the last preserved empties the list, with a warning', async () => {
    const where = directory();
    writeFileSync(join(where, 'checkpoint'), stateText('c-1', ['c-1'], ['2000001.0'], '2000000.0'));
    const run = startRun(where);
    await turn();
    expect(run.manager.checkpoints).toEqual([]);
    expect(run.warnings).toEqual([
      expect.objectContaining({ kind: 'clock', message: expect.stringContaining('1000000 s behind') }),
    ]);
    await run.manager.save({ checkpointNumber: 9 });
    expect(readFileSync(join(where, 'checkpoint'), 'utf8')).toContain('last_preserved_timestamp: 1000000.0\n');
    await run.manager.close();
  });

  it('9: a smaller maxToKeep deletes nothing until the next save', async () => {
    const where = directory();
    const run = startRun(where, { maxToKeep: 5 });
    for (const step of [1, 2, 3]) await run.train(step);
    await run.manager.close();
    const again = startRun(where, { maxToKeep: 1 }, { now: run.now });
    await again.manager.restoreOrInitialize();
    expect(names(again.manager.checkpoints)).toEqual(['ckpt-1', 'ckpt-2', 'ckpt-3']);
    expect(existsSync(join(where, 'ckpt-1.index'))).toBe(true);
    await again.train(4);
    expect(filesIn(where)).toEqual(['checkpoint', 'ckpt-4.data-00000-of-00001', 'ckpt-4.index']);
    await again.manager.close();
  });

  it.each([
    ['empty', ''],
    ['path-less', 'last_preserved_timestamp: 3\n'],
    ['unparsable', 'garbage {'],
    ['not UTF-8', Buffer.from('model_checkpoint_path: "\xff"', 'latin1')],
  ])(
    '10: a state file that is %s is a warning, and the newest whole checkpoints become the list',
    async (_, content) => {
      const where = directory();
      const run = startRun(where, { maxToKeep: 5 });
      for (const step of [1, 2, 3, 4]) await run.train(step);
      await run.manager.close();
      writeFileSync(join(where, 'checkpoint'), content);
      writeFileSync(join(where, 'ckpt-5.index'), 'an index without data');
      const again = startRun(where, { maxToKeep: 2, clock: Date.now });
      await turn();
      expect(names(again.manager.checkpoints)).toEqual(['ckpt-3', 'ckpt-4']);
      expect(again.warnings).toEqual([
        expect.objectContaining({ kind: 'state', message: expect.stringMatching(/can't be used.*ckpt-3, .*ckpt-4/) }),
      ]);
      expect(await again.manager.restoreOrInitialize()).toBe(join(where, 'ckpt-4'));
      // Older ones count as preserved.
      await again.manager.save();
      expect(filesIn(where)).toContain('ckpt-1.index');
      expect(filesIn(where)).toContain('ckpt-2.index');
      expect(filesIn(where)).not.toContain('ckpt-3.index');
      await again.manager.close();
    },
  );

  it('10: a missing state file is fresh, and a warning names the checkpoints there', async () => {
    const where = directory();
    const run = startRun(where);
    await run.train(1);
    await run.manager.close();
    unlinkSync(join(where, 'checkpoint'));
    const again = startRun(where);
    await turn();
    expect(again.manager.latestCheckpoint).toBeNull();
    expect(again.warnings).toEqual([
      expect.objectContaining({ kind: 'state', message: expect.stringContaining('ckpt-1') }),
    ]);
    await again.manager.close();
  });
});

describe('the lock', () => {
  it('11: a second manager on the same directory is refused until the first is closed', async () => {
    const where = directory();
    const run = startRun(where);
    expect(() => startRun(where)).toThrow(
      expect.objectContaining({
        code: 'DIRECTORY_LOCKED',
        path: where,
        message: expect.stringMatching(/close\(\).*readOnly/s),
      }),
    );
    await run.manager.close();
    const next = startRun(where);
    await next.manager.close();
    expect(filesIn(where)).toEqual([]);
  });

  it('11: where the directory does not exist yet, the first save takes the lock', async () => {
    const where = join(directory(), 'run');
    const first = startRun(where);
    const second = startRun(where);
    await first.train(1);
    await expect(second.train(1)).rejects.toMatchObject({ code: 'DIRECTORY_LOCKED' });
    expect(second.checkpoint.saveCounter.value).toBe(0);
    await first.manager.close();
    await second.manager.close();
  });

  it('11: a readOnly manager takes no lock, writes nothing, and follows the state file', async () => {
    const where = directory();
    const run = startRun(where);
    const reader = startRun(where, { readOnly: true });
    expect(await reader.manager.restoreOrInitialize()).toBeNull();
    await run.train(5);
    expect(await reader.manager.restoreOrInitialize()).toBe(join(where, 'ckpt-1'));
    expect(reader.step.value).toBe(5);
    await expect(reader.manager.save()).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('readOnly'),
    });
    await reader.manager.close();
    await run.manager.close();
  });

  it('11: a manager in another process, or in a worker thread, is refused; a killed one is not in the way', async () => {
    const where = directory();
    mkdirSync(where, { recursive: true });
    const script = await compileChild(new URL('./children/hold.ts', import.meta.url));
    const child = startChild(script, [where]);
    await new Promise<void>((resolve) => child.stdout!.once('data', () => resolve()));
    expect(() => startRun(where)).toThrow(expect.objectContaining({ code: 'DIRECTORY_LOCKED' }));
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    const run = startRun(where);
    const worker = new Worker(script, { argv: [where], stdout: true });
    const failure = await new Promise<Error & { code?: string }>((resolve) => worker.once('error', resolve));
    expect(String(failure)).toContain('Another CheckpointManager is active');
    await run.manager.close();
  });
});
