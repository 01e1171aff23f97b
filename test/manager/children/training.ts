/**
 * A run that saves as fast as it can until it is killed. Arguments: directory, mode. Prints each step once it is saved.
 * Modes: `plain`; `replace`: few numbers, so that prefixes are replaced; `async`; `shards`: two data files.
 */
import { writeSync } from 'node:fs';
import { startRun } from '../run.ts';

const [, , directory, mode] = process.argv;
const run = startRun(
  directory!,
  { maxToKeep: 2, clock: Date.now, write: mode === 'shards' ? { shards: 2 } : {} },
  { size: 3000 },
);
await run.manager.restoreOrInitialize();
if (run.warnings.some(({ kind }) => kind === 'damaged')) throw new Error(JSON.stringify(run.warnings));
while (true) {
  const step = run.step.increment();
  (run.weights.data as Float32Array).fill(step);
  if (mode === 'replace') await run.manager.save({ checkpointNumber: step % 3 });
  else if (mode === 'async') {
    await run.manager.save({ enableAsync: true });
    // The save before this one has ended: this one had to wait for it. Before the first there is none.
    if (step > 1) writeSync(1, `${step - 1}\n`);
    continue;
  } else await run.manager.save();
  writeSync(1, `${step}\n`);
}
