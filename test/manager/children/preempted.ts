/**
 * A training loop under saveOnSignal(): directory, mode. Prints a line per step, and what it saw at the end. Modes:
 * - `boundary`: saves by itself only every 1000 steps;
 * - `under way`: begins a save, then waits for ever in the middle of a step;
 * - `stuck`: no step ever ends;
 * - `return`: the loop ends by itself.
 */
import { writeSync } from 'node:fs';
import { saveOnSignal } from '../../../src/manager/index.ts';
import { startRun } from '../run.ts';

const [, , directory, mode] = process.argv;
const size = mode === 'under way' ? 4_000_000 : 1000;
const run = startRun(directory!, { checkpointInterval: 1000 }, { size, stepped: true });
const preemption = saveOnSignal(run.manager, {
  signals: ['SIGTERM', 'SIGUSR1', 'SIGUSR2'],
  deadlineSeconds: mode === 'stuck' ? 0.3 : 20,
  end: mode !== 'return',
});
await run.manager.restoreOrInitialize();
if (mode === 'under way') {
  run.step.value = 7;
  (run.weights.data as Float32Array).fill(7);
  const save = run.manager.begin()!;
  process.kill(process.pid, 'SIGTERM');
  await save.captured;
  setInterval(() => {}, 1000);
  await new Promise(() => {});
}
if (mode === 'stuck') {
  run.step.value = 1;
  await run.manager.save();
  run.step.value = 2;
  writeSync(1, 'stuck\n');
  setInterval(() => {}, 1000);
  await new Promise(() => {});
}
await run.manager.save();
while (true) {
  const step = run.step.increment();
  // The weights of a step appear one after the other: a save in between would be seen.
  (run.weights.data as Float32Array).fill(step, 0, 500);
  await new Promise((resolve) => setTimeout(resolve, 2));
  (run.weights.data as Float32Array).fill(step, 500);
  writeSync(1, `${step}\n`);
  if (await preemption.atStepBoundary()) break;
}
preemption.dispose();
await run.manager.close();
writeSync(1, `ended after ${preemption.signal}\n`);
