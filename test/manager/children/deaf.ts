/** Begins a save and never yields again. */
import { startRun } from '../run.ts';

const run = startRun(process.argv[2]!, {}, { size: 1000 });
run.step.value = 41;
run.manager.begin();
while (true);
