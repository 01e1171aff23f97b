import { readFileSync, rmSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/checkpoint.ts';
import { Counter } from '../../src/checkpoint/counter.ts';
import { CheckpointManager } from '../../src/manager/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { filesIn, testDirectories } from '../support/directory.ts';
import { names, type Run, startRun, stateText } from './run.ts';

const directory = testDirectories();

/** Turns over one bit of the last byte. */
function damage(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(path, bytes);
}

async function trained(
  where: string,
  steps: readonly number[],
  options: Parameters<typeof startRun>[1] = {},
): Promise<Run> {
  const run = startRun(where, options);
  for (const step of steps) await run.train(step);
  await run.manager.close();
  return run;
}

describe('restoreOrInitialize', () => {
  it('29: restores the latest, returns its path, and does not call initFn', async () => {
    const where = directory();
    await trained(where, [1, 2]);
    let calls = 0;
    const again = startRun(where, { initFn: () => void calls++ });
    expect(await again.manager.restoreOrInitialize()).toBe(join(where, 'ckpt-2'));
    expect([again.step.value, again.checkpoint.saveCounter.value, calls]).toEqual([2, 2, 0]);
    expect([...(again.weights.data as Float32Array)]).toEqual([2, 2]);
    await again.manager.close();
  });

  it('29: without a checkpoint it waits for initFn, ignores its result, and returns null', async () => {
    const where = directory();
    const run = startRun(where, {
      initFn: async () => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        run.step.value = 7;
        // It may save: nothing is held while it runs.
        await run.manager.save();
        return 'ignored' as never;
      },
    });
    expect(await run.manager.restoreOrInitialize()).toBeNull();
    expect(run.step.value).toBe(7);
    expect(run.manager.latestCheckpoint).toBe(join(where, 'ckpt-1'));
    await run.manager.close();
  });

  it('29: waits for a save under way', async () => {
    const where = directory();
    let initialized = false;
    const initFn = () => {
      initialized = true;
    };
    const run = startRun(where, { initFn });
    run.step.value = 3;
    const saving = run.manager.save({ enableAsync: true });
    expect(await run.manager.restoreOrInitialize()).toBe(join(where, 'ckpt-1'));
    await saving;
    expect(initialized).toBe(false);
    await run.manager.close();
  });

  it('31: right after a restore a save at the restored step returns null', async () => {
    const where = directory();
    const first = startRun(where, { checkpointInterval: 1 }, { stepped: true });
    await first.train(5);
    await first.manager.close();
    const again = startRun(where, { checkpointInterval: 1 }, { stepped: true });
    await again.manager.restoreOrInitialize();
    expect(await again.manager.save()).toBeNull();
    expect(await again.manager.save({ checkInterval: false })).toBeNull();
    expect(await again.train(6)).toBe(join(where, 'ckpt-2'));
    await again.manager.close();
  });

  it('32: a manager that does not restore starts at 1 again, and warns before it saves', async () => {
    const where = directory();
    const run = await trained(where, [1, 2, 3, 4, 5], { maxToKeep: 1 });
    const again = startRun(where, { maxToKeep: 1 }, { now: run.now });
    const saving = again.train(1);
    expect(again.warnings).toEqual([expect.objectContaining({ kind: 'unrestored', path: join(where, 'ckpt-5') })]);
    expect(await saving).toBe(join(where, 'ckpt-1'));
    expect(filesIn(where)).toEqual(['checkpoint', 'ckpt-1.data-00000-of-00001', 'ckpt-1.index']);
    await again.train(2);
    expect(again.warnings).toHaveLength(1);
    await again.manager.close();
  });
});

describe('damage', () => {
  it.each([
    ['a missing index', (prefix: string) => unlinkSync(`${prefix}.index`)],
    ['a damaged index', (prefix: string) => damage(`${prefix}.index`)],
    ['missing data', (prefix: string) => unlinkSync(`${prefix}.data-00000-of-00001`)],
    ['damaged data', (prefix: string) => damage(`${prefix}.data-00000-of-00001`)],
    ['truncated data', (prefix: string) => truncateSync(`${prefix}.data-00000-of-00001`, 1)],
  ])('30: %s: the newest older one is restored, with a warning and an event', async (_, harm) => {
    const where = directory();
    const run = await trained(where, [1, 2, 3]);
    harm(join(where, 'ckpt-3'));
    const again = startRun(where, {}, { now: run.now });
    expect(await again.manager.restoreOrInitialize()).toBe(join(where, 'ckpt-2'));
    expect([again.step.value, again.checkpoint.saveCounter.value]).toEqual([2, 2]);
    expect([...(again.weights.data as Float32Array)]).toEqual([2, 2]);
    expect(again.manager.latestCheckpoint).toBe(join(where, 'ckpt-2'));
    expect(names(again.manager.checkpoints)).toEqual(['ckpt-1', 'ckpt-2']);
    expect(again.warnings).toEqual([
      expect.objectContaining({
        kind: 'damaged',
        path: join(where, 'ckpt-3'),
        message: expect.stringMatching(/ckpt-3.*ckpt-2 was restored instead/s),
      }),
    ]);
    expect(again.events).toEqual([
      [
        'damaged',
        {
          path: join(where, 'ckpt-3'),
          restored: join(where, 'ckpt-2'),
          error: expect.objectContaining({ name: 'CheckpointError' }),
        },
      ],
    ]);
    // The damaged one's number is next.
    expect(await again.train(3)).toBe(join(where, 'ckpt-3'));
    await again.manager.restoreOrInitialize();
    expect(again.step.value).toBe(3);
    await again.manager.close();
  });

  it('30: the next sweep deletes the damaged one first, and the state file follows', async () => {
    const where = directory();
    const run = await trained(where, [1, 2, 3]);
    damage(join(where, 'ckpt-3.index'));
    const before = readFileSync(join(where, 'checkpoint'), 'utf8');
    const again = startRun(where, {}, { now: run.now });
    await again.manager.restoreOrInitialize();
    expect(readFileSync(join(where, 'checkpoint'), 'utf8')).toBe(before);
    await again.manager.save({ checkpointNumber: 9 });
    expect(names(again.manager.checkpoints)).toEqual(['ckpt-1', 'ckpt-2', 'ckpt-9']);
    expect(filesIn(where).filter((name) => name.includes('ckpt-3'))).toEqual([]);
    expect(readFileSync(join(where, 'checkpoint'), 'utf8')).not.toContain('ckpt-3');
    await again.manager.close();
  });

  it('30: after the state file’s, other whole checkpoints of this name are tried, preserved ones too', async () => {
    const where = directory();
    const run = await trained(where, [1, 2]);
    writeFileSync(join(where, 'checkpoint'), stateText('ckpt-8', ['ckpt-8', 'ckpt-9'], []));
    damage(join(where, 'ckpt-2.index'));
    const again = startRun(where, {}, { now: run.now });
    expect(await again.manager.restoreOrInitialize()).toBe(join(where, 'ckpt-1'));
    expect(again.events.map(([, { path }]) => names([path as string])[0])).toEqual(['ckpt-8', 'ckpt-9', 'ckpt-2']);
    // None of the three was managed: nobody deletes them.
    for (const checkpointNumber of [20, 21, 22, 23]) await again.manager.save({ checkpointNumber });
    expect(filesIn(where)).toContain('ckpt-2.data-00000-of-00001');
    await again.manager.close();
  });

  it('30: where none is left it throws, and says of each why', async () => {
    const where = directory();
    const run = await trained(where, [1, 2]);
    for (const n of [1, 2]) damage(join(where, `ckpt-${n}.index`));
    const again = startRun(where, { initFn: () => expect.unreachable() }, { now: run.now });
    await expect(again.manager.restoreOrInitialize()).rejects.toMatchObject({
      code: 'DATA_LOSS',
      message: expect.stringMatching(/None of 2 checkpoints.*ckpt-2.*ckpt-1/s),
      problems: [
        expect.objectContaining({ path: join(where, 'ckpt-2') }),
        expect.objectContaining({ path: join(where, 'ckpt-1') }),
      ],
    });
    await again.manager.close();
  });

  it("30: onDamaged: 'throw' makes the first failure final", async () => {
    const where = directory();
    await trained(where, [1, 2]);
    damage(join(where, 'ckpt-2.index'));
    const again = startRun(where, { onDamaged: 'throw' });
    await expect(again.manager.restoreOrInitialize()).rejects.toMatchObject({ code: 'DATA_LOSS' });
    expect(again.manager.latestCheckpoint).toBe(join(where, 'ckpt-2'));
    await again.manager.close();
  });

  it('30: a shape that does not fit is no damage: no older one is tried', async () => {
    const where = directory();
    await trained(where, [1, 2]);
    const again = startRun(where, {}, { size: 3 });
    await expect(again.manager.restoreOrInitialize()).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
    await again.manager.close();
  });

  it('30: a restore that leaves keys or objects unmatched warns with their names', async () => {
    const where = directory();
    await trained(where, [1]);
    const objects = { step: new Counter(), bias: new Counter() };
    const manager = new CheckpointManager(new Checkpoint(objects), { directory: where, maxToKeep: 3 });
    const warnings: string[] = [];
    manager.on('warning', ({ message }) => warnings.push(message));
    await manager.restoreOrInitialize();
    expect(warnings).toEqual([
      expect.stringMatching(/weights\/\.ATTRIBUTES\/VARIABLE_VALUE has no object.*bias has no value/),
    ]);
    await manager.close();
  });
});

describe('the Checkpoint beneath', () => {
  const tensor = (...values: number[]) =>
    new HostTensor({ dtype: 'float32', shape: [values.length], data: Float32Array.from(values) });

  it('33: save numbers, and overwrites the state file with its path alone', async () => {
    const where = directory();
    const run = startRun(where);
    await run.train(1);
    await run.checkpoint.save(join(where, 'x'));
    expect(readFileSync(join(where, 'checkpoint'), 'utf8')).toBe(
      'model_checkpoint_path: "x-2"\nall_model_checkpoint_paths: "x-2"\n',
    );
    await run.manager.close();
  });

  it('33: write has no number, no state file and no counter; restoring it fails assertConsumed', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ value: tensor(1) });
    expect(await checkpoint.write(join(where, 'w'))).toBe(join(where, 'w'));
    expect(filesIn(where)).toEqual(['w.data-00000-of-00001', 'w.index']);
    (await new Checkpoint({ value: tensor(0) }).read(join(where, 'w'))).assertConsumed();
    const status = await new Checkpoint({ value: tensor(0) }).restore(join(where, 'w'));
    expect(() => status.assertConsumed()).toThrow(/save_counter/);
  });

  it('34: restore(null) gives a status whose assertions all fail', async () => {
    const status = await new Checkpoint({ value: tensor(1) }).restore(null);
    for (const name of ['assertConsumed', 'assertExistingObjectsMatched', 'assertNontrivialMatch'] as const) {
      expect(() => status[name]()).toThrow(/restore\(null\)/);
    }
  });

  it('35: what appears after a restore is restored then; mismatches are all listed and nothing is assigned', async () => {
    const where = directory();
    const path = await new Checkpoint({ a: tensor(1, 2), b: tensor(3), c: new Counter(4) }).save(join(where, 'k'));
    const objects: Record<string, unknown> = { a: tensor(0, 0) };
    const status = await new Checkpoint(objects).restore(path);
    const late = tensor(0);
    objects.b = late;
    await status.applyDeferred();
    expect((late.data as Float32Array)[0]).toBe(3);
    const [a, b] = [tensor(0, 0, 0), new HostTensor({ dtype: 'int32', shape: [1], data: new Int32Array(1) })];
    const counter = new Counter(9);
    const failure = await new Checkpoint({ a, b, c: counter }).restore(path).catch((error) => error);
    expect(failure.problems.map(({ code }: { code: string }) => code).sort()).toEqual([
      'DTYPE_MISMATCH',
      'SHAPE_MISMATCH',
    ]);
    expect(failure.message).toMatch(/\[2\].*\[3\]|\[3\].*\[2\]/s);
    expect(counter.value).toBe(9);
    rmSync(where, { recursive: true });
  });
});
