import { runSave } from '../../src/native/engine.ts';
import { pattern, saveProgram } from './programs.ts';

// The limit arrives as a signal first.
process.on('SIGXFSZ', () => {});
const tensors = [{ bytes: pattern(4_000_000, 1), offset: 0 }];
runSave(saveProgram(process.argv[2]!, tensors)).finished.catch((error) => console.log(JSON.stringify(error)));
