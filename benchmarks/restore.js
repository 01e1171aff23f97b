// One cold restore in a process of its own, as after a crash: the process builds its state, then restores it from the
// disk. Building it touches its memory for the first time, which has a price of its own (in a virtual machine often a
// higher one than the disk's): it is measured apart. Prints one line of JSON.
import { Checkpoint } from 'tensor-checkpoint';
import { observe } from './observe.js';
import { makeState, stateBytes } from './state.js';

const PAGE = 4096;
const [prefix, size] = process.argv.slice(2);
const objects = makeState(Number(size), { fill: false });
const bytes = stateBytes(objects);
const started = performance.now();
for (const { bytes: memory } of Object.values(objects)) {
  for (let at = 0; at < memory.length; at += PAGE) memory[at] = 1;
}
const firstTouch = bytes / ((performance.now() - started) / 1000);

const { result: status, ...figures } = await observe(() => new Checkpoint(objects).restore(prefix));
status.assertExistingObjectsMatched();
console.log(JSON.stringify({ ...figures, bytes, firstTouch }));
