import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { getCheckpointState, latestCheckpoint, verifyCheckpoint } from '../../src/manager/index.ts';
import { compileChild, startChild } from '../support/child.ts';
import { filesIn, testDirectories } from '../support/directory.ts';
import { startRun } from './run.ts';

const KILLS = Number(process.env.TENSOR_CHECKPOINT_KILLS ?? 16);
const MODES = ['plain', 'replace', 'async', 'shards'] as const;
const directory = testDirectories();

/** Runs the training loop for a random while and kills it; returns the last step that it said was saved. */
async function trainAndKill(script: string, where: string, mode: string): Promise<number> {
  const child = startChild(script, [where, mode]);
  const exited = once(child, 'exit') as Promise<[number | null, string | null]>;
  let saved = 0;
  const lines = createInterface({ input: child.stdout! });
  const began = once(lines, 'line');
  lines.on('line', (line) => {
    saved = Number(line);
  });
  await Promise.race([began, exited]);
  // Saves take a few milliseconds each: any point of one is as likely as another.
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
  child.kill('SIGKILL');
  const [code, signal] = await exited;
  lines.close();
  expect({ code, signal }).toEqual({ code: null, signal: 'SIGKILL' });
  return saved;
}

it.each(MODES)(
  '28: kill -9 at random moments of a saving loop (%s) loses no committed save and leaves nothing behind',
  async (mode) => {
    const script = await compileChild(new URL('./children/training.ts', import.meta.url));
    const where = directory();
    let last = 0;
    for (let i = 0; i < Math.ceil(KILLS / MODES.length); i++) {
      const saved = await trainAndKill(script, where, mode);
      expect(saved).toBeGreaterThanOrEqual(last);

      // As the crash left it: the newest listed one is whole.
      const latest = await latestCheckpoint(where);
      expect(await verifyCheckpoint(latest!)).toMatchObject({ ok: true, problems: [] });

      const run = startRun(where, { maxToKeep: 2, clock: Date.now }, { size: 3000 });
      expect(await run.manager.restoreOrInitialize()).toBe(latest);
      expect(run.step.value).toBeGreaterThanOrEqual(saved);
      expect(new Set(run.weights.data as Float32Array)).toEqual(new Set([run.step.value]));
      last = run.step.value;
      await run.manager.close();
      await expectNoRemains(where);
    }
  },
  300_000,
);

/** Every file is the state file, or belongs to a whole checkpoint, or to a listed one whose deletion was interrupted. */
async function expectNoRemains(where: string): Promise<void> {
  const files = filesIn(where);
  const state = await getCheckpointState(where);
  const listed = new Set(state!.allModelCheckpointPaths);
  const prefixes = new Set<string>();
  for (const file of files) {
    if (file === 'checkpoint') continue;
    const prefix = /^(ckpt-\d+)\.(?:index|data-\d{5}-of-\d{5})$/.exec(file)?.[1];
    expect(prefix, `${file} is left over`).toBeDefined();
    prefixes.add(prefix!);
  }
  for (const prefix of prefixes) {
    const path = join(where, prefix);
    if (listed.has(path) && !files.includes(`${prefix}.index`)) continue;
    expect(await verifyCheckpoint(path), prefix).toMatchObject({ ok: true });
    const counts = new Set(files.filter((file) => file.startsWith(`${prefix}.data-`)).map((file) => file.slice(-5)));
    expect(counts.size, `${prefix} has data of two saves`).toBe(1);
  }
}
