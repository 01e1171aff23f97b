/** Ends at the stage of life that is named: directory, stage. What it leaves, and that it ends, is the test's to see. */
import { startRun } from '../run.ts';

const [, , directory, stage] = process.argv;
const run = startRun(directory!, {}, { size: 100_000 });
run.step.value = 5;
switch (stage) {
  case 'constructed':
    break;
  case 'begun':
    run.manager.begin();
    break;
  case 'captured':
    await run.manager.save({ enableAsync: true });
    break;
  case 'queued':
    run.manager.begin();
    run.manager.begin();
    break;
  case 'exit while saving':
    run.manager.begin();
    process.exit(0);
    break;
  case 'throw while saving':
    run.manager.begin();
    setTimeout(() => {
      throw new Error('on purpose');
    });
    break;
  case 'restoring':
    await run.manager.save();
    run.manager.restoreOrInitialize();
    break;
  case 'closing':
    await run.manager.save({ enableAsync: true });
    run.manager.close();
    break;
  case 'exit handler':
    process.on('exit', () => run.manager.begin());
    break;
  default:
    throw new Error(`no stage ${stage}`);
}
