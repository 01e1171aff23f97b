import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { filesIn, testDirectories } from '../support/directory.ts';
import { brokenDisk, contents, failAt, noFaults } from '../support/faults.ts';
import { contentOf } from '../support/native-bytes.ts';
import { floats } from '../support/objects.ts';
import { hooks } from '../support/reference-addon.ts';

// The engine in plain JavaScript: it can be failed and held at any step of a program.
vi.mock('../../src/native/loader.ts', async () => await import('../support/reference-addon.ts'));

const directory = testDirectories();

beforeEach(noFaults);

describe('18: a save that fails', () => {
  it('changes nothing, at whatever step it fails, and the retry saves under the same number', async () => {
    let n = 0;
    for (; ; n++) {
      const where = directory();
      const checkpoint = new Checkpoint({ x: floats(1), y: floats(2) });
      await checkpoint.save(join(where, 'ckpt'));
      const before = contents(where);
      const failing = failAt(n);
      const result = await checkpoint.save(join(where, 'ckpt')).catch((error) => error);
      hooks.beforeStep = undefined;
      if (failing.failed === undefined) break; // The program has no more steps.
      const { op } = failing.failed;
      if (result === join(where, 'ckpt-2')) continue; // Behind the commit nothing fails a save.
      expect(result, op).toMatchObject({ code: 'IO_ERROR' });
      const after = contents(where);
      // The state file's directory could not be synced after its rename: nobody knows what it held before.
      if (after.checkpoint !== before.checkpoint) {
        expect(failing.failed).toMatchObject({ op: expect.stringMatching(/syncDirectory|milestone/) });
        delete after.checkpoint;
        delete before.checkpoint;
      }
      expect(after, `${n}: ${op}`).toEqual(before);
      expect(checkpoint.saveCounter.value).toBe(1);
      expect(await checkpoint.save(join(where, 'ckpt'))).toBe(join(where, 'ckpt-2'));
      expect(existsSync(join(where, 'ckpt-2.index'))).toBe(true);
    }
    expect(n).toBeGreaterThan(8);
  });

  it('leaves no state file where there was none', async () => {
    for (let n = 0; ; n++) {
      const where = directory();
      const failing = failAt(n);
      const error = await new Checkpoint({ x: floats(1) }).save(join(where, 'ckpt')).catch((caught) => caught);
      if (failing.failed === undefined) break;
      if (typeof error === 'string') continue;
      expect(filesIn(where), failing.failed.op).toEqual([]);
    }
  });

  it('of a replaced prefix: the old content up to the rename, the new behind it, always whole', async () => {
    const outcomes = new Set<string>();
    for (let n = 0; ; n++) {
      const where = directory();
      const x = floats(1);
      const checkpoint = new Checkpoint({ x, y: floats(2) });
      const path = await checkpoint.write(join(where, 'x'));
      const before = contents(where);
      x.data[0] = 2;
      const failing = failAt(n);
      const error = await checkpoint.write(path).catch((caught) => caught);
      hooks.beforeStep = undefined;
      if (failing.failed === undefined) break;
      if (typeof error === 'string') continue;
      const replaced = readFileSync(`${path}.index`).toString('base64') !== before['x.index'];
      outcomes.add(String(replaced));
      if (replaced) expect(error.message).toMatch(/had been replaced before that: it holds the new content, whole/);
      else expect(contents(where)).toEqual(before);
      const restored = floats(0);
      (await new Checkpoint({ x: restored, y: floats(0) }).read(path)).assertConsumed();
      expect(restored.data[0]).toBe(replaced ? 2 : 1);
    }
    expect(outcomes).toEqual(new Set(['true', 'false']));
  });

  it('says that a new checkpoint was removed again where it fails behind the rename', async () => {
    const where = directory();
    hooks.beforeStep = (step) => {
      if (step.op === 'publish' && !step.commits) throw brokenDisk();
    };
    const path = join(where, 'ckpt-1');
    await expect(new Checkpoint({ x: floats(1) }).save(join(where, 'ckpt'))).rejects.toThrow(
      `${path} was removed again`,
    );
    expect(filesIn(where)).toEqual([]);
  });

  it('because something in the tree can’t be saved changes nothing either', async () => {
    const where = directory();
    const objects: Record<string, unknown> = { x: floats(1) };
    const checkpoint = new Checkpoint(objects);
    objects.bad = { deep: [3] };
    await expect(checkpoint.save(join(where, 'ckpt'))).rejects.toThrow(
      /checkpoint\["bad"\]\["deep"\]\["0"\] is number/,
    );
    expect(checkpoint.saveCounter.value).toBe(0);
    delete objects.bad;
    expect(await checkpoint.save(join(where, 'ckpt'))).toBe(join(where, 'ckpt-1'));
  });

  it('because the path is the state file’s', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    const handle = checkpoint.beginWrite(join(where, 'checkpoint'), {
      storeSaveCounter: true,
      finish: () => ({ stateFile: { path: join(where, 'checkpoint'), text: '' }, deletePrefixes: [] }),
    });
    await expect(handle.finished).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(filesIn(where)).toEqual([]);
  });
});

describe('behind the commit', () => {
  const request = (where: string) => ({
    storeSaveCounter: true,
    finish: () => ({
      stateFile: { path: join(where, 'checkpoint'), text: 'both' },
      deletePrefixes: [join(where, 'old')],
      stateFileAfterDeletion: 'new alone',
    }),
  });

  it('what was given up goes, index first, and the state file follows', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    await checkpoint.write(join(where, 'old'), { shards: 2 });
    writeFileSync(join(where, 'older.index'), '');
    writeFileSync(join(where, 'old.data-00000-of-00009x'), '');
    const states: string[] = [];
    hooks.beforeStep = (step) => {
      if (step.op === 'unlink') states.push(readFileSync(join(where, 'checkpoint'), 'utf8'));
    };
    await checkpoint.beginWrite(join(where, 'new'), request(where)).finished;
    expect(new Set(states)).toEqual(new Set(['both']));
    const unlinked = hooks.programs.at(-1)!.steps.flatMap((step) => (step.op === 'unlink' ? [step.path] : []));
    expect(unlinked.map((path) => path.slice(where.length + 1))).toEqual([
      'old.index',
      'old.data-00000-of-00002',
      'old.data-00001-of-00002',
    ]);
    expect(filesIn(where)).toEqual([
      'checkpoint',
      'new.data-00000-of-00001',
      'new.index',
      'old.data-00000-of-00009x',
      'older.index',
    ]);
    expect(readFileSync(join(where, 'checkpoint'), 'utf8')).toBe('new alone');
  });

  it('a failure is a warning: the checkpoint stays', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    await checkpoint.write(join(where, 'old'));
    hooks.beforeStep = (step, { blobs }) => {
      if (step.op === 'publish' && Buffer.from(contentOf(blobs[step.blob]!.bytes)).toString() === 'new alone')
        throw brokenDisk();
    };
    const warnings: string[] = [];
    const handle = checkpoint.beginWrite(join(where, 'new'), {
      ...request(where),
      onWarning: ({ kind }) => warnings.push(kind),
    });
    await handle.finished;
    expect(warnings).toEqual(['stateFile']);
    expect(handle.failure).toBeNull();
    expect(readFileSync(join(where, 'checkpoint'), 'utf8')).toBe('both');
    expect(existsSync(join(where, 'new.index'))).toBe(true);
    // The same where the state file is a program of its own.
    const writeCallbacks = [() => {}];
    await checkpoint.beginWrite(join(where, 'newer'), {
      ...request(where),
      writeCallbacks,
      onWarning: ({ kind }) => warnings.push(kind),
    }).finished;
    expect(existsSync(join(where, 'newer.index'))).toBe(true);
    expect(warnings.filter((kind) => kind === 'stateFile')).toHaveLength(2);
  });
});
