import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/checkpoint.ts';
import { CheckpointManager, latestCheckpoint, verifyCheckpoint } from '../../src/manager/index.ts';
import { compileChild } from '../support/child.ts';
import { filesIn, testDirectories } from '../support/directory.ts';
import { names, startRun } from './run.ts';

const directory = testDirectories();

describe('events', () => {
  it('saved tells what was saved and how fast', async () => {
    const run = startRun(directory());
    const path = await run.train(1);
    expect(run.events).toEqual([
      [
        'saved',
        {
          path,
          tensors: 3,
          bytes: expect.any(Number),
          seconds: expect.any(Number),
          capturedSeconds: expect.any(Number),
          bytesPerSecond: expect.any(Number),
        },
      ],
    ]);
    const { bytes, seconds, bytesPerSecond } = run.events[0]![1] as Record<string, number>;
    expect(bytes).toBeGreaterThanOrEqual(8 + 8 + 2 * 4);
    expect(bytesPerSecond).toBeCloseTo(bytes! / seconds!, 3);
    await run.manager.close();
  });

  it('come after the state has changed, and a listener may save', async () => {
    const run = startRun(directory());
    const seen: unknown[] = [];
    let second: Promise<unknown> | undefined;
    run.manager.on('saved', ({ path }) => {
      seen.push(run.manager.latestCheckpoint === path);
      second ??= run.manager.save({ whenBusy: 'skip' });
    });
    await run.train(1);
    expect(await second).toMatch(/ckpt-2$/);
    expect(seen).toEqual([true, true]);
    await run.manager.close();
  });

  it('a warning that nobody hears is a process warning, the constructor’s too', async () => {
    const where = directory();
    const run = startRun(where, { maxToKeep: 1 });
    await run.train(1);
    await run.manager.close();
    const heard: string[] = [];
    const listen = ({ name, message }: Error) => heard.push(`${name}: ${message}`);
    process.on('warning', listen);
    const manager = new CheckpointManager(new Checkpoint({}), { directory: where, maxToKeep: 1 });
    await manager.save();
    await new Promise((resolve) => setTimeout(resolve));
    process.off('warning', listen);
    expect(heard).toEqual([expect.stringMatching(/^CheckpointWarning: .*was not restored/)]);
    await manager.close();
  });
});

describe('closing', () => {
  it('waits for what is under way, and refuses what comes after', async () => {
    const where = directory();
    const run = startRun(where);
    const saves = [run.manager.save({ enableAsync: true }), run.manager.save()];
    await run.manager.close();
    expect(names((await Promise.all(saves)) as string[])).toEqual(['ckpt-1', 'ckpt-2']);
    expect(names([(await latestCheckpoint(where))!])).toEqual(['ckpt-2']);
    await expect(run.manager.save()).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('closed'),
    });
    await expect(run.manager.restoreOrInitialize()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await run.checkpoint.write(join(where, 'still'))).toBe(join(where, 'still'));
    await run.manager.close();
  });

  it('await using closes', async () => {
    const where = directory();
    const run = startRun(where);
    await run.manager[Symbol.asyncDispose]();
    await startRun(where).manager.close();
  });
});

/** Runs a program to its end; one that hangs is killed and fails the test. */
async function live(script: string, args: readonly string[]): Promise<{ code: number | null; errors: string }> {
  const child = spawn(process.execPath, [script, ...args], {
    stdio: ['ignore', 'inherit', 'pipe'],
    timeout: 30_000,
    killSignal: 'SIGKILL',
  });
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const [code, signal] = await once(child, 'close');
  expect(signal, `${args.at(-1)} hangs`).toBeNull();
  return { code, errors };
}

describe('a process that ends', () => {
  it.each([
    ['constructed', 0, null],
    ['begun', 0, 'ckpt-1'],
    ['captured', 0, 'ckpt-1'],
    ['queued', 0, 'ckpt-2'],
    ['restoring', 0, 'ckpt-1'],
    ['closing', 0, 'ckpt-1'],
    ['exit while saving', 0, undefined],
    ['exit handler', 0, undefined],
    ['throw while saving', 1, undefined],
  ])('%s: ends, and keeps what it said it saved', async (stage, code, latest) => {
    const script = await compileChild(new URL('./children/life.ts', import.meta.url));
    const where = join(directory(), 'run');
    mkdirSync(where);
    const ended = await live(script, [where, stage]);
    expect(ended).toMatchObject(
      code === 0 ? { code, errors: '' } : { code, errors: expect.stringContaining('on purpose') },
    );
    const found = await latestCheckpoint(where);
    if (latest !== undefined) expect(found === null ? null : names([found])[0]).toBe(latest);
    if (found !== null) expect((await verifyCheckpoint(found)).ok).toBe(true);
    const run = startRun(where, {}, { size: 100_000 });
    expect(await run.manager.restoreOrInitialize()).toBe(found);
    await run.manager.close();
    expect(filesIn(where).filter((name) => name.includes('tmp'))).toEqual([]);
  });
});

describe('worker threads', () => {
  it('save and restore as the main thread does', async () => {
    const script = await compileChild(new URL('./children/worker.ts', import.meta.url));
    const where = directory();
    for (const step of [1, 2]) {
      const worker = new Worker(script, { workerData: { directory: where, once: true } });
      const [[saved]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
      expect(saved).toBe(step);
    }
    const run = startRun(where, {}, { size: 50_000 });
    expect(await run.manager.restoreOrInitialize()).toBe(join(where, 'ckpt-2'));
    expect(run.step.value).toBe(2);
    await run.manager.close();
  });

  it('may be terminated in the middle of a save: what was committed is there, and the directory is free', async () => {
    const script = await compileChild(new URL('./children/worker.ts', import.meta.url));
    const where = directory();
    for (let i = 0; i < 5; i++) {
      const worker = new Worker(script, { workerData: { directory: where, once: false } });
      let saved = 0;
      worker.on('message', (step) => {
        saved = step;
      });
      await once(worker, 'message');
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 30));
      await worker.terminate();
      const run = startRun(where, {}, { size: 50_000 });
      const restored = await run.manager.restoreOrInitialize();
      expect((await verifyCheckpoint(restored!)).ok).toBe(true);
      expect(run.step.value).toBeGreaterThanOrEqual(saved);
      await run.manager.close();
    }
  });
});
