// @ts-check
// What the guard watches of the package as users call it: `workload.js DIRECTORY save|restore large|small TIMES`. After a
// warm-up, TIMES saves or restores; with --expose-gc and a young generation that holds everything, the garbage they make.
import { rmSync } from 'node:fs';
import path from 'node:path';
import { PerformanceObserver } from 'node:perf_hooks';
import { Checkpoint, CheckpointManager, HostTensor } from 'tensor-checkpoint';
import { collectStats } from '../lib/native-stats.js';
import { reply } from '../lib/reply.js';

const [directory = '', what, kind, times] = process.argv.slice(2);
const stats = collectStats();

const objects = kind === 'large' ? tensors(4, 8 * 2 ** 20, true) : tensors(2000, 1024, false);
const checkpoint = new Checkpoint(objects);
const place = path.join(directory, 'workload');
const manager = new CheckpointManager(checkpoint, { directory: place, maxToKeep: 1 });

let collections = 0;
new PerformanceObserver((list) => {
  collections += list.getEntries().length;
}).observe({ entryTypes: ['gc'] });

const prefix = /** @type {string} */ (await manager.save());
const work = what === 'save' ? () => manager.save() : () => checkpoint.restore(prefix);
await work();

globalThis.gc?.();
await new Promise((resolve) => setTimeout(resolve, 20)); // The collection above has been told of.
collections = 0;
stats.saves.length = 0;
stats.loads.length = 0;
const before = process.memoryUsage().heapUsed;
for (let time = 0; time < Number(times); time++) await work();
const heap = process.memoryUsage().heapUsed - before;
await new Promise((resolve) => setTimeout(resolve, 20));

const counted = what === 'save' ? stats.saves : stats.loads;
const sum = (/** @type {'bytesCopied' | 'syncs'} */ field) =>
  counted.reduce(
    (total, one) => total + Number(/** @type {Record<string, unknown>} */ (/** @type {unknown} */ (one))[field] ?? 0),
    0,
  );
await manager.close();
rmSync(place, { recursive: true, force: true });
reply({
  heapBytes: collections === 0 ? heap : null,
  bytesCopied: sum('bytesCopied'),
  syncs: sum('syncs'),
  programs: counted.length,
});

/** @param {number} count @param {number} bytes @param {boolean} own */
function tensors(count, bytes, own) {
  const shape = [bytes / 4];
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => {
      const tensor = own
        ? HostTensor.allocate({ dtype: 'float32', shape })
        : new HostTensor({ dtype: 'float32', shape, data: new Float32Array(bytes / 4) });
      tensor.bytes.fill(index & 255);
      return [`tensor_${index}`, tensor];
    }),
  );
}
