/** Saves in a worker thread until it is terminated, telling after each save; or once: directory, 'once'. */
import { parentPort, workerData } from 'node:worker_threads';
import { startRun } from '../run.ts';

const { directory, once } = workerData as { directory: string; once: boolean };
const run = startRun(directory, {}, { size: 50_000 });
await run.manager.restoreOrInitialize();
do {
  run.step.increment();
  (run.weights.data as Float32Array).fill(run.step.value);
  await run.manager.save();
  parentPort!.postMessage(run.step.value);
} while (!once);
if (once) await run.manager.close();
