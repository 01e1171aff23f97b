/** Opens a manager on the directory given, says so, and waits. */
import { startRun } from '../run.ts';

const directory = process.argv[2]!;
startRun(directory);
process.stdout.write('ready\n');
setInterval(() => {}, 1000);
