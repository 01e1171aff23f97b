import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { crc32c } from '../../src/native/engine.ts';
import { compileChild, startChild } from '../support/child.ts';
import { testDirectories } from '../support/directory.ts';
import { unmask } from './programs.ts';

const directoryOf = testDirectories();

async function run(
  mode: string,
  directory: string,
): Promise<{ code: number | null; signal: string | null; output: string }> {
  const child = startChild(await compileChild(new URL('./life-child.ts', import.meta.url)), [mode, directory]);
  let output = '';
  child.stdout!.on('data', (chunk) => {
    output += chunk;
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
    child.once('close', (...ended) => resolve(ended)),
  );
  return { code, signal, output };
}

function expectCommitted(directory: string, name = 'ckpt') {
  const index = readFileSync(join(directory, `${name}.index`));
  expect(unmask(index.readUInt32LE(0))).toBe(crc32c(readFileSync(join(directory, `${name}.data-0`))));
}

/** Either whole or not there at all. */
function expectAllOrNothing(directory: string, name = 'ckpt') {
  const names = readdirSync(directory).filter((file) => file.startsWith(`${name}.`));
  if (names.length === 0) return;
  expect(names.sort()).toEqual([`${name}.data-0`, `${name}.index`]);
  expectCommitted(directory, name);
}

describe('a save under way', () => {
  it('keeps the process alive until it is committed', async () => {
    const directory = directoryOf();
    expect(await run('run-out', directory)).toMatchObject({ code: 0 });
    expectCommitted(directory);
  });

  it('is committed although the JS thread never yields again', async () => {
    const directory = directoryOf();
    const child = startChild(await compileChild(new URL('./life-child.ts', import.meta.url)), ['deaf', directory]);
    try {
      const deadline = Date.now() + 30_000;
      while (!existsSync(join(directory, 'ckpt.index')) && Date.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      expectCommitted(directory);
      expect(child.exitCode).toBeNull();
    } finally {
      child.kill('SIGKILL');
    }
  });

  for (const delay of [0, 5, 20, 60, 150]) {
    it(`is undone or finished when process.exit comes after ${delay} ms`, async () => {
      const directory = directoryOf();
      expect(await run(`exit-${delay}`, directory)).toMatchObject({ code: 7, signal: null });
      expectAllOrNothing(directory);
    });

    it(`is undone or finished when its worker is terminated after ${delay} ms`, async () => {
      const directory = directoryOf();
      const ended = await run(`terminate-${delay}`, directory);
      expect(ended).toMatchObject({ code: 0, signal: null });
      expectAllOrNothing(directory, 'worker0');
      // The engine goes on for the main thread.
      expectCommitted(directory);
    });
  }

  it.each(['file', 'index', 'graph'])(
    'goes on when a worker is terminated that was to be given what was read of a %s',
    async (kind) => {
      const directory = directoryOf();
      writeFileSync(join(directory, 'file'), new Uint8Array(2 ** 20));
      expect(await run(`read-${kind}`, directory)).toMatchObject({ code: 0, signal: null });
      expectCommitted(directory);
    },
  );

  it.each(['terminated', 'exits'])('goes on when a worker that holds native memory ends: %s', async (how) => {
    const directory = directoryOf();
    expect(await run(`holding-${how}`, directory)).toMatchObject({ code: 0, signal: null, output: '' });
    expectCommitted(directory);
  });

  it('shares the engine with the saves of other workers', async () => {
    const directory = directoryOf();
    expect(await run('two-workers', directory)).toMatchObject({ code: 0, signal: null });
    for (const name of ['worker0', 'worker1', 'ckpt']) expectCommitted(directory, name);
  });

  it('goes on when a callback throws', async () => {
    const directory = directoryOf();
    const ended = await run('throwing-callback', directory);
    expect(ended).toMatchObject({ code: 0, output: expect.stringContaining('caught: from onWarning') });
    expect(ended.output).toContain('finished');
    expectCommitted(directory);
  });
});
