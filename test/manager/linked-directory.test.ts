import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { latestCheckpoint } from '../../src/manager/index.ts';
import { LinkedDirectory } from '../../src/manager/linked-directory.ts';
import type { Step } from '../../src/native/contract.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { testDirectories } from '../support/directory.ts';
import { hooks } from '../support/reference-addon.ts';

// The engine in plain JavaScript: it can be failed and held at any step of a program.
vi.mock('../../src/native/loader.ts', async () => await import('../support/reference-addon.ts'));

const directory = testDirectories();

beforeEach(() => {
  hooks.beforeStep = undefined;
});

/** Two checkpoints, and a directory in which the first is linked. */
async function prepared() {
  const where = directory();
  const x = new HostTensor({ dtype: 'float32', shape: [100], data: new Float32Array(100).fill(1) });
  const checkpoint = new Checkpoint({ x });
  const first = await checkpoint.write(join(where, 'ckpt-1'), { shards: 1 });
  (x.data as Float32Array).fill(2);
  const second = await checkpoint.write(join(where, 'ckpt-2'), { shards: 1 });
  (x.data as Float32Array).fill(3);
  const third = await checkpoint.write(join(where, 'ckpt-3'), { shards: 1 });
  const open = () => {
    return new LinkedDirectory(checkpoint, { directory: join(where, 'best'), maxToKeep: 1, durable: true }, () => {});
  };
  const linked = open();
  await linked.link(first, 1);
  const value = async () => {
    const read = new HostTensor({ dtype: 'float32', shape: [100], data: new Float32Array(100) });
    const latest = await latestCheckpoint(join(where, 'best'));
    await new Checkpoint({ x: read }).read(latest!);
    return (read.data as Float32Array)[99];
  };
  return { second, third, linked, open, value, best: join(where, 'best') };
}

/** Holds the program at its nth step for ever, as a process that is killed there, or fails it there. */
function stopAt(n: number, how: 'held' | 'failed'): Promise<Step | undefined> {
  return new Promise((resolve) => {
    let at = 0;
    hooks.beforeStep = (step) => {
      if (step.op === 'milestone' && step.name === 'committed' && at < n) setTimeout(() => resolve(undefined), 50);
      if (at++ !== n) return undefined;
      resolve(step);
      if (how === 'failed') throw Object.assign(new Error('EIO: the disk is broken'), { code: 'EIO' });
      return new Promise<void>(() => {});
    };
  });
}

describe('a directory of links', () => {
  it('holds the latest alone, under a state file of its own', async () => {
    const { linked, second, value, best } = await prepared();
    expect(await value()).toBe(1);
    expect(await linked.link(second, 2)).toEqual({ path: join(best, 'ckpt-2'), bytesCopied: 0 });
    expect(await value()).toBe(2);
    expect(readdirSync(best).sort()).toEqual(['checkpoint', 'ckpt-2.data-00000-of-00001', 'ckpt-2.index']);
    // Linked already.
    expect(await linked.link(second, 2)).toMatchObject({ path: linked.latest });
  });

  it.each(['held', 'failed'] as const)('names a whole checkpoint wherever a link is %s', async (how) => {
    let n = 0;
    for (; ; n++) {
      const { linked, open, second, third, value, best } = await prepared();
      const stopped = stopAt(n, how);
      const failure = linked.link(second, 2).then(
        () => undefined,
        (error: unknown) => error,
      );
      const step = await stopped;
      if (how === 'failed') await failure;
      hooks.beforeStep = undefined;
      if (step === undefined) break;
      expect([1, 2], step.op).toContain(await value());
      // The next process clears up and links on.
      const next = open();
      await next.recover();
      const names = readdirSync(best).filter((name) => name.includes('.tmp-'));
      expect(names, `${n}: ${step.op}`).toEqual([]);
      await next.link(third, 3);
      expect(await value(), step.op).toBe(3);
      expect(readFileSync(join(best, 'checkpoint'), 'utf8')).toMatch(/^model_checkpoint_path: "ckpt-3"/);
    }
    expect(n).toBeGreaterThan(8);
  });

  it('takes a number again whose link was never named', async () => {
    const { linked, second, best, value } = await prepared();
    const other = join(best, '..', 'other');
    mkdirSync(other);
    const { linkCheckpoint } = await import('../../src/checkpoint/index.ts');
    await linkCheckpoint(join(best, 'ckpt-1'), join(best, 'ckpt-2'));
    await linked.link(second, 2);
    expect(await value()).toBe(2);
    expect(existsSync(join(best, 'ckpt-1.index'))).toBe(false);
  });
});
