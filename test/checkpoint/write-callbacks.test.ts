import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { filesIn, testDirectories } from '../support/directory.ts';
import { brokenDisk, contents, noFaults } from '../support/faults.ts';
import { floats } from '../support/objects.ts';
import { hooks } from '../support/reference-addon.ts';

// The engine in plain JavaScript: it can be failed and held at any step of a program.
vi.mock('../../src/native/loader.ts', async () => await import('../support/reference-addon.ts'));

const directory = testDirectories();

beforeEach(noFaults);

describe('22: write callbacks', () => {
  it('see the checkpoint in place, in order, before the state file names it', async () => {
    const where = directory();
    const seen: unknown[] = [];
    const look = (who: string) => (path: string) => {
      seen.push([who, path, existsSync(`${path}.index`), existsSync(join(where, 'checkpoint'))]);
    };
    const writeCallbacks = [look('a'), async (path: string) => look('b')(path)];
    const path = await new Checkpoint({ x: floats(1) }).save(join(where, 'ckpt'), { writeCallbacks });
    expect(seen).toEqual([
      ['a', path, true, false],
      ['b', path, true, false],
    ]);
    expect(writeCallbacks).toHaveLength(2);
    expect(readFileSync(join(where, 'checkpoint'), 'utf8')).toMatch(/ckpt-1/);
  });

  it('that fail take a new checkpoint back; later ones are not called', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    const never = vi.fn();
    const cause = new Error('upload failed');
    const writeCallbacks = [() => Promise.reject(cause), never];
    const error = await checkpoint.save(join(where, 'ckpt'), { writeCallbacks }).catch((caught) => caught);
    expect(error).toMatchObject({ code: 'ABORTED', cause });
    expect(error.message).toMatch(/upload failed .*was removed again/);
    expect(never).not.toHaveBeenCalled();
    expect(filesIn(where)).toEqual([]);
    expect(await checkpoint.save(join(where, 'ckpt'))).toBe(join(where, 'ckpt-1'));
  });

  it('that fail after a replacement leave the new content, and say so', async () => {
    const where = directory();
    const x = floats(1);
    const checkpoint = new Checkpoint({ x });
    const path = await checkpoint.write(join(where, 'x'));
    x.data[0] = 2;
    const fail = () => {
      throw new Error('no');
    };
    await expect(checkpoint.write(path, { writeCallbacks: [fail] })).rejects.toThrow(/holds the new content, whole/);
    const restored = floats(0);
    await new Checkpoint({ x: restored }).read(path);
    expect(restored.data[0]).toBe(2);
  });

  it('and then a state file that fails: the new checkpoint goes, the old state file stays', async () => {
    const where = directory();
    const checkpoint = new Checkpoint({ x: floats(1) });
    await checkpoint.save(join(where, 'ckpt'));
    const before = contents(where);
    hooks.beforeStep = (step) => {
      if (step.op === 'publish' && step.path.endsWith('checkpoint')) throw brokenDisk();
    };
    const error = await checkpoint.save(join(where, 'ckpt'), { writeCallbacks: [() => {}] }).catch((caught) => caught);
    expect(error).toMatchObject({ code: 'IO_ERROR' });
    expect(contents(where)).toEqual(before);
    expect(checkpoint.saveCounter.value).toBe(1);
  });
});
