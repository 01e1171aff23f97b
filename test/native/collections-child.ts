// How many times V8 collects garbage, and what memory stays in use, while tensors are made: argv [kept | dropped].
import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HostTensor } from '../../src/tensor/host-tensor.ts';

const MAJOR = 4; // NODE_PERFORMANCE_GC_MAJOR
const BYTES = 2 ** 20;
const COUNT = 4096;

let collections = 0;
const observer = new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if ((entry as unknown as { detail: { kind: number } }).detail.kind === MAJOR) collections++;
  }
});
observer.observe({ entryTypes: ['gc'] });

const kept: HostTensor[] = [];
let most = 0;
for (let i = 0; i < COUNT; i++) {
  const tensor = HostTensor.allocate({ dtype: 'uint8', shape: [BYTES] });
  if (process.argv[2] === 'kept') kept.push(tensor);
  // Memory is in use only once it was written to.
  else tensor.data.fill(1);
  await nextTurn();
  if (i % 64 === 0) most = Math.max(most, process.memoryUsage.rss());
}
await nextTurn();
console.log(JSON.stringify({ collections, most, kept: kept.length }));
