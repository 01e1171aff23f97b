// Imports a model.json, and dies when the first data file is there and the index is not. Arguments: model.json, prefix.
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { importTfjsModel } from '../../src/tfjs/index.ts';

const [path, prefix] = process.argv.slice(2) as [string, string];
const look = () => {
  // Not before something was written: the index is published by a later program, so that there is none yet.
  const names = readdirSync(dirname(prefix));
  if (names.some((name) => name.includes('.data-'))) process.kill(process.pid, 'SIGKILL');
  setImmediate(look);
};
setImmediate(look);
await importTfjsModel(path, prefix);
process.exit(1);
