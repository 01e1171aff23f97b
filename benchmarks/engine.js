// Durable save and cold load of aligned memory on the native engine, beside fio on the same disk.
//   node benchmarks/engine.js [directory] [GiB] [shards]
// Needs a build (npm run build). The page cache is dropped as far as the user may.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { allocate, crc32c, engineInfo, runLoad, runSave } from '../dist/native/engine.js';

const [parent = '.', gib = '4', shardCount = '4', threads = '0'] = process.argv.slice(2);
const shards = Number(shardCount);
const shardBytes = Math.floor((Number(gib) * 2 ** 30) / shards / 4096) * 4096;
const total = shardBytes * shards;
const directory = mkdtempSync(join(parent, 'bench-'));
const gigabytes = (bytes, seconds) => `${(bytes / 1e9 / seconds).toFixed(2)} GB/s`;

function dropCaches() {
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '3');
  } catch {
    console.log('(page cache not dropped: not root; files were written past it)');
  }
}

const column = (Type, value) => Type.from({ length: shards }, (_, i) => value(i));
const paths = Array.from({ length: shards }, (_, i) => join(directory, `data-${i}`));
const options = { threads: Number(threads), stagingBytes: 2 ** 28, durable: true, direct: true, progress: true };

async function save(buffers, run, copy) {
  for (const path of paths) rmSync(path, { force: true });
  rmSync(join(directory, 'index'), { force: true });
  return runSave({
    files: { paths, sizes: column(Float64Array, () => shardBytes) },
    buffers,
    extents: {
      kind: new Uint8Array(shards),
      buffer: column(Uint32Array, (i) => i),
      source: new Float64Array(shards),
      bytes: column(Float64Array, () => shardBytes),
      file: column(Uint32Array, (i) => i),
      fileOffset: new Float64Array(shards),
      tensor: column(Uint32Array, (i) => i),
    },
    tensorCount: shards,
    blobs: [{ temporaryPath: join(directory, `index.tmp${run}`), bytes: new Uint8Array(64) }],
    steps: [
      { op: 'create', blob: 0 },
      { op: 'write' },
      { op: 'finish', blob: 0 },
      { op: 'sync' },
      { op: 'syncDirectory', path: directory },
      { op: 'publish', blob: 0, path: join(directory, 'index'), commits: true },
      { op: 'syncDirectory', path: directory },
      { op: 'milestone', name: 'committed' },
    ],
    undo: [],
    options: { ...options, copy },
  }).finished;
}

async function measured(what, work) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const before = process.memoryUsage().rss;
  let peak = before;
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 5);
  delay.enable();
  const start = performance.now();
  const stats = await work();
  const seconds = (performance.now() - start) / 1000;
  delay.disable();
  clearInterval(watch);
  console.log(
    `${what}: ${gigabytes(total, seconds)}  (${seconds.toFixed(3)} s, longest event-loop gap ${(delay.max / 1e6).toFixed(1)} ms, ` +
      `extra memory ${Math.round((peak - before) / 2 ** 20)} MiB, ${JSON.stringify(stats)})`,
  );
}

function fio(mode) {
  const result = spawnSync(
    'fio',
    [
      '--name=x',
      `--rw=${mode}`,
      '--bs=4M',
      '--iodepth=8',
      '--ioengine=libaio',
      '--direct=1',
      `--size=${total}`,
      '--end_fsync=1',
      `--filename=${join(directory, 'fio')}`,
      '--output-format=json',
    ],
    { encoding: 'utf8' },
  );
  if (result.status !== 0) return console.log('fio is not installed or failed: no figure to compare with');
  const job = JSON.parse(result.stdout).jobs[0][mode];
  console.log(
    `fio ${mode}, direct, 4 MiB x 8: ${(job.bw_bytes / 1e9).toFixed(2)} GB/s (${(job.runtime / 1000).toFixed(3)} s)`,
  );
}

try {
  console.log(engineInfo());
  const buffers = [];
  const expected = new Uint32Array(shards);
  for (let i = 0; i < shards; i++) {
    const buffer = allocate(shardBytes);
    new Float64Array(buffer).forEach((_, j, values) => {
      values[j] = j * (i + 1) + 0.5;
    });
    expected[i] = crc32c(new Uint8Array(buffer));
    buffers.push(buffer);
  }
  for (let round = 0; round < 2; round++) {
    fio('write');
    dropCaches();
    fio('read');
    rmSync(join(directory, 'fio'), { force: true });
    await measured('save, borrowed', () => save(buffers, `b${round}`, false));
    await measured('save, copied', () => save(buffers, `c${round}`, true));
    dropCaches();
    await measured('load, cold', async () => {
      const { stats } = await runLoad({
        files: { paths },
        buffers,
        extents: {
          file: column(Uint32Array, (i) => i),
          fileOffset: new Float64Array(shards),
          bytes: column(Float64Array, () => shardBytes),
          buffer: column(Uint32Array, (i) => i),
          target: new Float64Array(shards),
          tensor: column(Uint32Array, (i) => i),
        },
        tensors: { count: shards, expected, verify: new Uint8Array(shards).fill(1) },
        options: { ...options, keepGoing: false },
      });
      return stats;
    });
  }
  if (statSync(paths[0]).size !== shardBytes) throw new Error('wrong size');
} finally {
  rmSync(directory, { recursive: true, force: true });
}
