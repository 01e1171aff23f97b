import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { latestCheckpoint, loadVariable, saveOnSignal, verifyCheckpoint } from '../../src/manager/index.ts';
import { compileChild, startChild } from '../support/child.ts';
import { testDirectories } from '../support/directory.ts';
import { startRun } from './run.ts';

const directory = testDirectories();

interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
  readonly lines: string[];
}

/** Runs the loop, sends it a signal after its third line (unless it sends itself one), and waits for its end. */
async function preempt(where: string, mode: string, signals: NodeJS.Signals[], after = 3): Promise<Ending> {
  const child = startChild(await compileChild(new URL('./children/preempted.ts', import.meta.url)), [where, mode]);
  const exited = once(child, 'exit') as Promise<[number | null, string | null]>;
  const seen: string[] = [];
  const reader = createInterface({ input: child.stdout! });
  const read = once(reader, 'close');
  reader.on('line', (line) => {
    if (seen.push(line) === after) for (const signal of signals) child.kill(signal);
  });
  const [code, signal] = await exited;
  await read;
  return { code, signal, lines: seen };
}

/** The step and the weights of the latest checkpoint, which must be whole. */
async function saved(where: string) {
  const latest = await latestCheckpoint(where);
  expect(await verifyCheckpoint(latest!)).toMatchObject({ ok: true });
  const step = await loadVariable(where, 'step/.ATTRIBUTES/VARIABLE_VALUE');
  const weights = await loadVariable(where, 'weights/.ATTRIBUTES/VARIABLE_VALUE');
  const values = [...new Set(weights.data as Float32Array)];
  return { step: Number((step.data as BigInt64Array)[0]), values };
}

it.each(['SIGTERM', 'SIGUSR1', 'SIGUSR2'] as const)(
  'saves at the next step boundary after %s, before its time, and ends by it',
  async (signal) => {
    const where = directory();
    const { lines, ...end } = await preempt(where, 'boundary', [signal, signal]);
    expect(end).toEqual({ code: null, signal });
    const last = Number(lines.at(-1));
    expect(last).toBeGreaterThanOrEqual(3);
    expect(await saved(where)).toEqual({ step: last, values: [last] });
  },
);

it('finishes a save that is under way and ends, though no further step does', async () => {
  const where = directory();
  expect(await preempt(where, 'under way', [])).toMatchObject({ code: null, signal: 'SIGTERM' });
  expect(await saved(where)).toEqual({ step: 7, values: [7] });
});

it('ends at the deadline where no step boundary comes, and leaves the checkpoint before', async () => {
  const where = directory();
  expect(await preempt(where, 'stuck', ['SIGTERM'], 1)).toMatchObject({ code: null, signal: 'SIGTERM' });
  expect(await saved(where)).toMatchObject({ step: 1 });
});

it('lets the loop end by itself with end: false', async () => {
  const where = directory();
  const { code, lines } = await preempt(where, 'return', ['SIGTERM']);
  expect({ code, last: lines.at(-1) }).toEqual({ code: 0, last: 'ended after SIGTERM' });
  const last = Number(lines.at(-2));
  expect(await saved(where)).toEqual({ step: last, values: [last] });
});

it('does nothing at a step boundary before a signal, and takes its listeners away', async () => {
  const run = startRun(directory());
  const listeners = process.listenerCount('SIGUSR2');
  {
    using preemption = saveOnSignal(run.manager, { signals: ['SIGUSR2'] });
    expect(process.listenerCount('SIGUSR2')).toBe(listeners + 1);
    expect(await preemption.atStepBoundary()).toBe(false);
    expect(preemption.signal).toBeNull();
  }
  expect(process.listenerCount('SIGUSR2')).toBe(listeners);
  expect(run.manager.latestCheckpoint).toBeNull();
  await run.manager.close();
});

it.each([
  [{ signals: [] }, 'signals'],
  [{ signals: ['SIGKILL'] }, 'signals'],
  [{ signals: ['TERM'] }, 'signals'],
  [{ deadlineSeconds: 0 }, 'deadlineSeconds'],
  [{ deadlineSeconds: Number.NaN }, 'deadlineSeconds'],
  [{ deadlineSeconds: 1e9 }, 'deadlineSeconds'],
  [{ end: 1 }, 'end'],
  [{ signal: ['SIGTERM'] }, 'signal'],
])('refuses %j, naming the option', async (options, name) => {
  const run = startRun(directory());
  const given = options as Parameters<typeof saveOnSignal>[1];
  expect(() => saveOnSignal(run.manager, given)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  expect(() => saveOnSignal(run.manager, given)).toThrow(name);
  await run.manager.close();
});
