import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { CheckpointManager, removeCheckpoint, verifyCheckpoint } from '../../src/manager/index.ts';
import { exportTfjsModel, importTfjsModel, loadModel, tfjs } from '../../src/tfjs/index.ts';
import { compileChild, startChild } from '../support/child.ts';
import { testDirectories } from '../support/directory.ts';

const directory = testDirectories();

const model = () => tf.sequential({ layers: [tf.layers.dense({ units: 500, inputShape: [200], name: 'only' })] });

/** A model.json, and a directory in which an import of it to `ckpt-0` was killed. */
async function killed(): Promise<{ source: string; where: string; prefix: string }> {
  const checkpoint = new Checkpoint({ model: model() }, { adapters: [tfjs(tf)] });
  const source = directory();
  await exportTfjsModel(await checkpoint.write(join(directory(), 'model')), source);
  const where = directory();
  const prefix = join(where, 'ckpt-0');
  const child = startChild(await compileChild(new URL('./import-child.ts', import.meta.url)), [source, prefix]);
  const [, signal] = await once(child, 'exit');
  expect(signal).toBe('SIGKILL');
  return { source, where, prefix };
}

describe('an import that was killed', () => {
  beforeAll(() => tf.setBackend('cpu'));

  it('leaves a mark and data files, which are no checkpoint', async () => {
    const { where, prefix } = await killed();
    const names = readdirSync(where).sort();
    expect(names).toHaveLength(2);
    expect(names[0]).toBe('ckpt-0.data-00000-of-00001');
    expect(names[1]).toMatch(/^ckpt-0\.index\.tmp-\d+-[0-9a-f]{12}$/);
    expect(await verifyCheckpoint(prefix)).toMatchObject({ ok: false, problems: [{ code: 'NOT_FOUND' }] });
  });

  it('is made good by the next import, which clears away what it has left', async () => {
    const { source, where, prefix } = await killed();
    await importTfjsModel(source, prefix);
    // Under another shard count: no file of a dead import is written to.
    const data = ['ckpt-0.data-00000-of-00002', 'ckpt-0.data-00001-of-00002'];
    expect(readdirSync(where).sort()).toEqual([...data, 'ckpt-0.index']);
    expect(await verifyCheckpoint(prefix)).toMatchObject({ ok: true });
    expect((await loadModel(tf, prefix)).countParams()).toBe(200 * 500 + 500);
  });

  it('is cleared away by a manager of the directory, and by removeCheckpoint', async () => {
    const first = await killed();
    const checkpoint = new Checkpoint({ model: model() }, { adapters: [tfjs(tf)] });
    const manager = new CheckpointManager(checkpoint, { directory: first.where, maxToKeep: 1 });
    await manager.sync();
    await manager.close();
    expect(readdirSync(first.where)).toEqual([]);
    const second = await killed();
    await removeCheckpoint(second.prefix);
    expect(readdirSync(second.where)).toEqual([]);
  });
});
