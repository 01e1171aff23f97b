import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Checkpoint, linkCheckpoint, removeCheckpoint } from '../../src/checkpoint/index.ts';
import { verifyCheckpoint } from '../../src/manager/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { testDirectories } from '../support/directory.ts';

const directory = testDirectories();

const tensor = (value: number) =>
  new HostTensor({ dtype: 'float32', shape: [1000], data: new Float32Array(1000).fill(value) });

async function saved(shards = 2): Promise<string> {
  const prefix = join(directory(), 'ckpt-1');
  return await new Checkpoint({ a: tensor(1), b: tensor(2) }).write(prefix, { shards });
}

async function restored(prefix: string): Promise<number[]> {
  const objects = { a: tensor(0), b: tensor(0) };
  (await new Checkpoint(objects).read(prefix)).assertConsumed();
  return [objects.a, objects.b].map(({ data }) => (data as Float32Array)[999]!);
}

describe('linkCheckpoint', () => {
  it('gives a checkpoint a second prefix without writing a byte of it', async () => {
    const from = await saved();
    const to = join(directory(), 'new', 'below', 'best-7');
    expect(await linkCheckpoint(from, to)).toEqual({ path: to, bytesCopied: 0 });
    for (const suffix of ['.index', '.data-00000-of-00002', '.data-00001-of-00002']) {
      expect(statSync(to + suffix).ino).toBe(statSync(from + suffix).ino);
    }
    expect(readdirSync(join(to, '..'))).toHaveLength(3);
    expect(await verifyCheckpoint(to)).toMatchObject({ ok: true });
  });

  it('leaves each of the two whole when the other is removed, or replaced', async () => {
    const from = await saved();
    const [kept, other] = [join(directory(), 'kept'), join(directory(), 'other')];
    await linkCheckpoint(from, kept);
    await linkCheckpoint(from, other);
    await new Checkpoint({ a: tensor(7), b: tensor(8) }).write(from);
    expect(await restored(kept)).toEqual([1, 2]);
    expect(await restored(from)).toEqual([7, 8]);
    await removeCheckpoint(from);
    await removeCheckpoint(kept);
    expect(await restored(other)).toEqual([1, 2]);
  });

  it('refuses a prefix where there is a checkpoint, or a part of one', async () => {
    const from = await saved();
    const taken = await saved();
    await expect(linkCheckpoint(from, taken)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', path: taken });
    expect(await restored(taken)).toEqual([1, 2]);
    const part = join(directory(), 'part');
    writeFileSync(`${part}.data-00000-of-00002`, 'mine');
    await expect(linkCheckpoint(from, part)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(linkCheckpoint(from, from)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('says what is missing: the checkpoint, or one of its data files', async () => {
    const to = join(directory(), 'to');
    await expect(linkCheckpoint(join(directory(), 'none'), to)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const from = await saved();
    const { unlinkSync } = await import('node:fs');
    unlinkSync(`${from}.data-00001-of-00002`);
    await expect(linkCheckpoint(from, to)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      path: `${from}.data-00001-of-00002`,
    });
    expect(readdirSync(join(to, '..'))).toEqual([]);
  });

  it('copies to another file system', async (context) => {
    const other = '/dev/shm';
    if (!existsSync(other) || statSync(other).dev === statSync(directory()).dev) {
      context.skip('there is no second file system here');
    }
    const from = await saved();
    const to = join(other, `tensor-checkpoint-link-${process.pid}`, 'best');
    try {
      const { bytesCopied } = await linkCheckpoint(from, to);
      expect(bytesCopied).toBeGreaterThanOrEqual(8000);
      expect(await restored(to)).toEqual([1, 2]);
      expect(await verifyCheckpoint(to)).toMatchObject({ ok: true });
    } finally {
      await removeCheckpoint(to);
      const { rmdirSync } = await import('node:fs');
      rmdirSync(join(to, '..'));
    }
  });

  it('stops when it is aborted, and names options that are not known', async () => {
    const from = await saved();
    const to = join(directory(), 'to');
    await expect(linkCheckpoint(from, to, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
    expect(readdirSync(join(to, '..'))).toEqual([]);
    await expect(linkCheckpoint(from, to, { sync: true } as never)).rejects.toThrow(/sync/);
    mkdirSync(to);
    expect(await linkCheckpoint(from, join(to, 'x'), { durable: false })).toMatchObject({ bytesCopied: 0 });
  });
});
