// @ts-check
// One cold restore in a process of its own, as after a crash. `resume`: what a user waits for, fresh memory included;
// `restore`: into memory that exists already, to be compared with a disk that is read into buffers that exist already.
import { layoutBytes } from '../lib/layouts.js';
import { haveMemoryAtHand } from '../lib/memory-at-hand.js';
import { collectStats } from '../lib/native-stats.js';
import { observe } from '../lib/observe.js';
import { reply } from '../lib/reply.js';
import { makeState, prepare, touch } from '../lib/state.js';

const order = JSON.parse(process.argv[2] ?? '{}');
const stats = collectStats();
let firstTouchSeconds = null;

await prepare(order);
haveMemoryAtHand(layoutBytes(order.layout));
const cpuBefore = process.cpuUsage();
const start = performance.now();
const { checkpoint, memories } = await makeState(order, { fill: false });
const making = { seconds: (performance.now() - start) / 1000, cpu: process.cpuUsage(cpuBefore) };
if (order.mode === 'restore') {
  const started = performance.now();
  touch(memories);
  firstTouchSeconds = (performance.now() - started) / 1000;
}
// The loop is watched while the package works; that making the state blocks it is the state's maker's business.
const { result: status, ...figures } = await observe(() => checkpoint.restore(order.prefix, order.read));
status.assertExistingObjectsMatched();
if (order.mode === 'resume') {
  figures.seconds += making.seconds;
  figures.cpuSeconds += (making.cpu.user + making.cpu.system) / 1e6;
}
reply({ ...figures, firstTouchSeconds, stats: stats.loads.at(-1) });
