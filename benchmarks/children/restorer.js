// @ts-check
// One cold restore in a process of its own, as after a crash. `resume`: what a user waits for, fresh memory included;
// `restore`: into memory that exists already, to be compared with a disk that is read into buffers that exist already.
import { collectStats } from '../lib/native-stats.js';
import { observe } from '../lib/observe.js';
import { reply } from '../lib/reply.js';
import { makeState, touch } from '../lib/state.js';

const order = JSON.parse(process.argv[2] ?? '{}');
const stats = collectStats();
let firstTouchSeconds = null;

let state = order.mode === 'restore' ? await makeState(order, { fill: false }) : null;
if (state) {
  const started = performance.now();
  touch(state.memories);
  firstTouchSeconds = (performance.now() - started) / 1000;
}
const { result: status, ...figures } = await observe(async () => {
  state ??= await makeState(order, { fill: false });
  return state.checkpoint.restore(order.prefix, order.read);
});
status.assertExistingObjectsMatched();
reply({ ...figures, firstTouchSeconds, stats: stats.loads.at(-1) });
