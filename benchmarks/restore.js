// One cold restore in a process of its own: fresh memory, as after a crash. Prints one line of JSON.
import { Checkpoint } from 'tensor-checkpoint';
import { observe } from './observe.js';
import { makeState, stateBytes } from './state.js';

const [prefix, bytes] = process.argv.slice(2);
const { result: objects, ...figures } = await observe(async () => {
  const state = makeState(Number(bytes), { fill: false });
  const status = await new Checkpoint(state).restore(prefix);
  status.assertExistingObjectsMatched();
  return state;
});
const total = stateBytes(objects);
console.log(JSON.stringify({ ...figures, bytes: total, extraBytes: Math.max(0, figures.extraBytes - total) }));
