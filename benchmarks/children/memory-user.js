// @ts-check
// Takes so many bytes of memory, writes to every page, and ends: `memory-user.js BYTES`. See lib/memory-at-hand.js.
import { HostTensor } from 'tensor-checkpoint';
import { availableMemory } from '../lib/machine.js';
import { touch } from '../lib/state.js';

const CHUNK = 2 ** 30;
/** Of what is available: whoever takes all is killed. */
const AT_MOST = 0.7;

const held = [];
const bytes = Math.floor(Math.min(Number(process.argv[2]), availableMemory() * AT_MOST));
for (let left = bytes; left > 0; left -= CHUNK) {
  held.push(HostTensor.allocate({ dtype: 'uint8', shape: [Math.min(CHUNK, left)] }).memory);
}
touch(held);
