// @ts-check
// Device memory to and from the disk, against what the link and the disk give, and against PyTorch where Python has it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  cudaDevices,
  cudaUnavailableReason,
  DeviceTensor,
  releaseDeviceMemory,
  reserveSnapshotPool,
} from '../dist/cuda/index.js';
import { Checkpoint, engineInfo, HostTensor } from '../dist/index.js';

const usage = `Usage: npm run bench:gpu -- DIRECTORY [options]

  --size SIZE,…       states that go to the disk of DIRECTORY (default 1GiB,4GiB,16GiB)
  --sink-size SIZE,…  states that go to a sink, which takes every byte and keeps none (default 1GiB,4GiB,16GiB,64GiB)
  --tensors N         tensors of a state (default 100)
  --rounds N          measurements of each, of which the median counts (default 3)
  --python PATH       for the comparison with PyTorch (default python3)
  --json FILE         writes the figures there, too

What doesn't fit the device, the memory or the disk is left out, and said.`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: 'string', default: '1GiB,4GiB,16GiB' },
    'sink-size': { type: 'string', default: '1GiB,4GiB,16GiB,64GiB' },
    tensors: { type: 'string', default: '100' },
    rounds: { type: 'string', default: '3' },
    python: { type: 'string', default: 'python3' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const parent = positionals[0] ?? '';
if (options.help || parent === '') {
  console.log(usage);
  process.exit(options.help ? 0 : 2);
}
const reason = cudaUnavailableReason();
if (reason !== null) {
  console.error(`bench:gpu: nothing was measured: ${reason}`);
  process.exit(1);
}

/** This process is the one of measureSink(): what it writes goes nowhere. */
const isSink = process.env.BENCH_GPU_SINK === '1';
const rounds = Number(options.rounds);
const tensorCount = Number(options.tensors);
const device = cudaDevices()[0];
const library = process.env.TENSOR_CHECKPOINT_CUDA_LIBRARY ?? 'libcuda.so.1';
/** @type {Record<string, unknown>[]} */
const results = [];

/** @param {string} text @returns {number[]} */
function sizes(text) {
  return text.split(',').map((item) => {
    const match = /^(\d+(?:\.\d+)?)(KiB|MiB|GiB)$/.exec(item.trim());
    if (!match) throw new Error(`${item} is no size such as 4GiB`);
    return Number(match[1]) * { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }[/** @type {'KiB'|'MiB'|'GiB'} */ (match[2])];
  });
}

/** @param {number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/**
 * @param {string} what @param {number} bytes @param {number[]} seconds
 * @param {Record<string, unknown>} [more]
 */
function report(what, bytes, seconds, more = {}) {
  const gigabytesPerSecond = bytes / 1e9 / median(seconds);
  results.push({ what, bytes, seconds, gigabytesPerSecond, ...more });
  const extra = Object.entries(more).map(
    ([name, value]) => `${name} ${Array.isArray(value) ? median(value).toFixed(4) : value}`,
  );
  console.log(
    `${what.padEnd(52)} ${(bytes / 2 ** 30).toFixed(2)} GiB  ${gigabytesPerSecond.toFixed(2)} GB/s  ${extra.join('  ')}`,
  );
}

/** @param {number} bytes */
function makeState(bytes) {
  const each = Math.floor(bytes / tensorCount / 4);
  const data = HostTensor.allocate({ dtype: 'float32', shape: [each] });
  /** @type {Float32Array} */ (data.data).forEach((_, i, all) => {
    all[i] = Math.sin(i);
  });
  /** @type {Record<string, DeviceTensor>} */
  const state = {};
  return (async () => {
    for (let i = 0; i < tensorCount; i++) state[`t${i}`] = await DeviceTensor.fromHost(data);
    return state;
  })();
}

/** @param {() => Promise<unknown>} work */
async function timed(work) {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { seconds, cpuSeconds: (user + system) / 1e6 };
}

function dropCaches() {
  try {
    spawnSync('sync');
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    return true;
  } catch {
    return false;
  }
}

/**
 * Saves of a state, each replacing the one before, and then a restore.
 * @param {string} where @param {string} directory @param {Record<string, DeviceTensor>} state @param {number} bytes
 * @param {import('../dist/index.js').WriteOptions} write
 */
async function measure(where, directory, state, bytes, write) {
  const checkpoint = new Checkpoint(state);
  const prefix = join(directory, 'ckpt');
  for (const [name, more] of /** @type {[string, import('../dist/index.js').WriteOptions][]} */ ([
    ['', {}],
    [', device checksum', { deviceChecksum: true }],
    ...(isSink ? [] : [[', GPUDirect Storage', { gpuDirect: true }]]),
    [', asynchronous', { enableAsync: true }],
    [', asynchronous, snapshot pool', { enableAsync: true, snapshotPoolBytes: bytes + 64 * 2 ** 20 }],
    [', asynchronous, shadow', { enableAsync: true, deviceShadow: true }],
  ])) {
    const total = [];
    /** @type {number[]} */
    const captured = [];
    const cpu = [];
    if (more.snapshotPoolBytes && more.snapshotPoolBytes > totalmem() / 2) {
      console.log(`device → ${where}${name}: left out, it needs more than half of the memory`);
      continue;
    }
    if (more.gpuDirect && !(await goesPastTheHost(checkpoint.write(prefix, { ...write, ...more })))) continue;
    if (more.snapshotPoolBytes) {
      const { seconds } = await timed(() => reserveSnapshotPool(/** @type {number} */ (more.snapshotPoolBytes)));
      results.push({ what: 'reserve the snapshot pool', bytes: more.snapshotPoolBytes, seconds: [seconds] });
    }
    for (let round = 0; round < rounds; round++) {
      const { seconds, cpuSeconds } = await timed(async () => {
        const start = performance.now();
        await checkpoint.write(prefix, { ...write, ...more });
        captured.push((performance.now() - start) / 1000);
        await checkpoint.sync();
      });
      total.push(seconds);
      cpu.push(cpuSeconds);
    }
    report(`device → ${where}${name}`, bytes, total, {
      ...(more.enableAsync ? { capturedSeconds: captured, firstCapturedSeconds: captured[0] } : {}),
      cpuSeconds: cpu,
    });
    await releaseDeviceMemory();
  }
  // A sink has nothing to give back.
  for (const gpuDirect of isSink ? [] : [false, true]) {
    if (gpuDirect && !(await goesPastTheHost(checkpoint.read(prefix, { gpuDirect })))) continue;
    const total = [];
    const cpu = [];
    let cold = true;
    for (let round = 0; round < rounds; round++) {
      cold = dropCaches() && cold;
      const { seconds, cpuSeconds } = await timed(() => checkpoint.read(prefix, { gpuDirect }));
      total.push(seconds);
      cpu.push(cpuSeconds);
    }
    report(`${where} → device${gpuDirect ? ', GPUDirect Storage' : ''}`, bytes, total, { cpuSeconds: cpu, cold });
  }
}

/**
 * Whether GPUDirect Storage is possible here, which a save or restore shows; if not, the reason is said.
 * @param {Promise<unknown>} tried
 */
async function goesPastTheHost(tried) {
  try {
    await tried;
    return true;
  } catch (error) {
    console.log(`GPUDirect Storage is left out: ${/** @type {Error} */ (error).message}`);
    return false;
  }
}

/**
 * The library that, preloaded, lets data files get their size and no bytes: as the pack brings it, or compiled.
 * @param {string} directory @returns {string | undefined}
 */
function sinkLibrary(directory) {
  const source = fileURLToPath(new URL('./children/null-sink.c', import.meta.url));
  const packed = source.replace(/c$/, 'so');
  if (existsSync(packed)) return packed;
  const built = join(directory, 'null-sink.so');
  const { status } = spawnSync('cc', ['-shared', '-fPIC', '-O2', '-o', built, source, '-ldl']);
  return status === 0 ? built : undefined;
}

/** Measures what goes to the sink, in a process whose writes go there. @returns {Record<string, unknown>[]} */
function measureSink() {
  const directory = mkdtempSync(join(parent, 'bench-gpu-'));
  try {
    const sink = sinkLibrary(directory);
    if (sink === undefined) {
      console.log('The sink is left out: there is no C compiler (cc) for it.');
      return [];
    }
    const json = join(directory, 'sink.json');
    const args = ['--sink-size', options['sink-size'], '--tensors', options.tensors, '--rounds', options.rounds];
    const { status } = spawnSync(
      process.execPath,
      [...process.execArgv, fileURLToPath(import.meta.url), directory, ...args, '--json', json],
      {
        stdio: 'inherit',
        // io_uring would pass the library by.
        env: { ...process.env, LD_PRELOAD: sink, TENSOR_CHECKPOINT_IO: 'threads', BENCH_GPU_SINK: '1' },
      },
    );
    if (status !== 0) throw new Error(`the measurement of the sink ended with ${status}`);
    return JSON.parse(readFileSync(json, 'utf8')).results;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** @param {string} path @param {number} bytes */
function fits(path, bytes) {
  const { bavail, bsize } = statfsSync(path);
  // A checkpoint that is replaced is there until the new one is.
  return (isSink || bavail * bsize > 2.1 * bytes) && (device?.totalMemory ?? 0) > 1.1 * bytes;
}

const other = fileURLToPath(new URL('../test/standin-cuda/build/Release/other_library.node', import.meta.url));
const copies = existsSync(other) ? createRequire(import.meta.url)(other) : undefined;
copies?.load(library);
if (!copies) console.log('The copy alone is left out: node scripts/standin-cuda.mjs builds what measures it.');

const where = isSink ? 'sink' : 'disk';
const write = isSink ? { durable: false } : {};
if (!isSink) results.push(...measureSink());
for (const bytes of sizes(isSink ? options['sink-size'] : options.size)) {
  if (!fits(parent, bytes)) {
    console.log(`${where}, ${bytes / 2 ** 30} GiB: left out, it doesn't fit the device or ${parent}`);
    continue;
  }
  if (copies && bytes < totalmem() / 2) {
    report('pinned copy alone, device → host', bytes, copies.timeCopies(0, bytes, rounds, true));
    report('pinned copy alone, host → device', bytes, copies.timeCopies(0, bytes, rounds, false));
  }
  const directory = mkdtempSync(join(parent, 'bench-gpu-'));
  const state = await makeState(bytes);
  try {
    const real = Object.values(state).reduce((sum, { byteLength }) => sum + byteLength, 0);
    await measure(where, directory, state, real, write);
  } finally {
    for (const tensor of Object.values(state)) tensor.free();
    rmSync(directory, { recursive: true, force: true });
  }
}

const diskSizes = sizes(options.size).filter((bytes) => !isSink && fits(parent, bytes));
const pytorch = isSink ? { skipped: 'it has no such sink' } : comparePyTorch();
if (!isSink) console.log(`PyTorch: ${JSON.stringify(pytorch)}`);

function comparePyTorch() {
  const { status, stdout, stderr, error } = spawnSync(
    options.python,
    [fileURLToPath(new URL('./gpu_peers.py', import.meta.url)), parent, String(diskSizes.at(-1) ?? 0), options.tensors],
    { encoding: 'utf8' },
  );
  return status === 0 ? JSON.parse(stdout) : { skipped: (error?.message ?? stderr).trim() };
}

const outcome = {
  date: new Date().toISOString(),
  command: ['node', ...process.argv.slice(1)].join(' '),
  machine: {
    device,
    driver: library,
    processor: cpus()[0]?.model,
    processors: cpus().length,
    memory: totalmem(),
    system: type(),
  },
  engine: engineInfo(),
  results,
  pytorch: { bytes: diskSizes.at(-1), ...pytorch },
};
if (options.json) writeFileSync(options.json, `${JSON.stringify(outcome, null, 2)}\n`);
