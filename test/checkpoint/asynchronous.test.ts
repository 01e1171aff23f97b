import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { filesIn, testDirectories } from '../support/directory.ts';
import { brokenDisk, holdAt, noFaults } from '../support/faults.ts';
import { floats } from '../support/objects.ts';
import { hooks } from '../support/reference-addon.ts';

// The engine in plain JavaScript: it can be failed and held at any step of a program.
vi.mock('../../src/native/loader.ts', async () => await import('../support/reference-addon.ts'));

const directory = testDirectories();

beforeEach(noFaults);

describe('23: asynchronous saves', () => {
  it('return once captured; the next save waits; sync waits', async () => {
    const where = directory();
    const x = floats(1);
    const checkpoint = new Checkpoint({ x });
    const hold = holdAt((step) => step.op === 'publish');
    const path = await checkpoint.save(join(where, 'ckpt'), { enableAsync: true });
    expect(existsSync(`${path}.index`)).toBe(false);
    const second = checkpoint.save(join(where, 'ckpt'));
    await hold.reached;
    expect(hooks.programs).toHaveLength(1);
    hold.release();
    expect(await second).toBe(join(where, 'ckpt-2'));
    await checkpoint.sync();
    expect(existsSync(`${path}.index`)).toBe(true);
  });

  it('copy by default', async () => {
    const checkpoint = new Checkpoint({ x: floats(1) });
    await checkpoint.save(join(directory(), 'ckpt'), { enableAsync: true });
    await checkpoint.sync();
    await checkpoint.save(join(directory(), 'ckpt'));
    expect(hooks.programs.map(({ options }) => options.copy)).toEqual([true, false]);
  });

  it('that fail are raised once: by sync, or by the next save, which then does nothing', async () => {
    for (const raise of ['sync', 'save'] as const) {
      const where = directory();
      const checkpoint = new Checkpoint({ x: floats(1) });
      hooks.beforeStep = (step) => {
        if (step.op === 'publish') throw brokenDisk();
      };
      await checkpoint.save(join(where, 'ckpt'), { enableAsync: true });
      await new Promise((resolve) => setTimeout(resolve, 20));
      hooks.beforeStep = undefined;
      const raised = raise === 'sync' ? checkpoint.sync() : checkpoint.save(join(where, 'ckpt'));
      await expect(raised).rejects.toMatchObject({ code: 'IO_ERROR' });
      await checkpoint.sync();
      expect(filesIn(where)).toEqual([]);
      expect(await checkpoint.save(join(where, 'ckpt'))).toBe(join(where, 'ckpt-1'));
    }
  });

  it('that fail while the next save already waits are raised by that one', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    const hold = holdAt((step) => step.op === 'publish');
    await checkpoint.save(join(where, 'ckpt'), { enableAsync: true });
    await hold.reached;
    const next = checkpoint.save(join(where, 'ckpt'));
    hooks.beforeStep = undefined;
    const failing = checkpoint.sync();
    hold.fail(brokenDisk());
    await expect(next).rejects.toMatchObject({ code: 'IO_ERROR' });
    await failing;
    expect(filesIn(where)).toEqual([]);
    expect(checkpoint.saveCounter.value).toBe(0);
  });

  it('a restore waits for a save of the same objects, also by another Checkpoint', async () => {
    const where = directory();
    const x = floats(1);
    const path = await new Checkpoint({ x }).write(join(where, 'old'));
    x.data[0] = 2;
    const hold = holdAt((step) => step.op === 'write');
    const saving = new Checkpoint({ x }).write(join(where, 'new'));
    await hold.reached;
    const restoring = new Checkpoint({ x }).read(path);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(x.data[0]).toBe(2);
    hold.release();
    await Promise.all([saving, restoring]);
    expect(x.data[0]).toBe(1);
    const y = floats(0);
    await new Checkpoint({ x: y }).read(join(where, 'new'));
    expect(y.data[0]).toBe(2);
  });

  it('whenBusy: skip belongs to the manager', async () => {
    const checkpoint = new Checkpoint({ x: floats(1) });
    await expect(checkpoint.save(join(directory(), 'x'), { whenBusy: 'skip' })).rejects.toThrow(/CheckpointManager/);
  });
});

describe('aborting', () => {
  it('before it begins writes nothing', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    const signal = AbortSignal.abort('why');
    const error = await checkpoint.save(join(where, 'ckpt'), { signal }).catch((caught) => caught);
    expect(error).toMatchObject({ code: 'ABORTED', cause: 'why' });
    expect(filesIn(where)).toEqual([]);
    expect(checkpoint.saveCounter.value).toBe(0);
  });

  it('while it waits for its turn is heard at once', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    const hold = holdAt((step) => step.op === 'write');
    const first = checkpoint.save(join(where, 'ckpt'));
    await hold.reached;
    const controller = new AbortController();
    const second = checkpoint.save(join(where, 'ckpt'), { signal: controller.signal });
    controller.abort();
    await expect(second).rejects.toMatchObject({ code: 'ABORTED' });
    hold.release();
    expect(await first).toBe(join(where, 'ckpt-1'));
    expect(await checkpoint.save(join(where, 'ckpt'))).toBe(join(where, 'ckpt-2'));
  });

  it('works until the index is renamed, and no longer', async () => {
    for (const [op, works] of [
      ['sync', true],
      ['milestone', false],
    ] as const) {
      const where = directory();
      const checkpoint = new Checkpoint({ x: floats(1) });
      const controller = new AbortController();
      const hold = holdAt((step) => step.op === op);
      const saving = checkpoint.save(join(where, 'ckpt'), { signal: controller.signal }).catch((error) => error);
      await hold.reached;
      controller.abort();
      hold.release();
      const result = await saving;
      if (works) expect(result).toMatchObject({ code: 'ABORTED' });
      else expect(result).toBe(join(where, 'ckpt-1'));
      expect(filesIn(where).length > 0).toBe(!works);
    }
  });
});
