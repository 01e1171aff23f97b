// @ts-check
// Counts, never times: instructions (callgrind), system calls (strace), allocations, bytes copied, flushes. Each is taken
// twice, for few and for more repetitions, so that what starting a process costs falls out of the difference.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { answerIn } from '../lib/reply.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const workload = fileURLToPath(new URL('workload.js', import.meta.url));
const GB = 1e9;

/** The tensors and bytes of native/pipeline/guard_bench.cc and of workload.js. */
const shapes = {
  native: { large: { tensors: 4, bytes: 4 * 8 * 2 ** 20 }, small: { tensors: 4096, bytes: 4096 * 1024 } },
  node: { large: { tensors: 4, bytes: 4 * 8 * 2 ** 20 }, small: { tensors: 2000, bytes: 2000 * 1024 } },
};

/** Calls that move bytes, flush, or change names: what a save is made of. Memory, threads and clocks are left out. */
const watched =
  'pwrite64,pread64,pwritev,preadv,preadv2,io_uring_enter,openat,fallocate,ftruncate,fsync,fdatasync,sync_file_range,' +
  'fadvise64,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,flock,getdents64';

/** @typedef {Record<string, { value: number, unit: string, tolerance: number }>} Measured */

/**
 * @param {(text: string) => void} progress
 * @returns {{ measured: Measured, skipped: Record<string, string> }} `skipped`: why, by the prefix of the metrics
 */
export function measure(progress) {
  /** @type {Measured} */
  const measured = {};
  /** @type {Record<string, string>} */
  const skipped = {};
  // Beside the repository's other temporary files: the system's may lie in memory, where there is no direct I/O to count.
  mkdirSync(path.join(root, '.tmp'), { recursive: true });
  const directory = mkdtempSync(path.join(root, '.tmp', 'guard-work-'));
  try {
    const program = buildProgram(progress);
    if (typeof program === 'string') measureNative(program, directory, measured, skipped, progress);
    else Object.assign(skipped, { 'native.': program.reason, 'instructions.': program.reason });
    measureNode(directory, measured, progress);
    measureCalls(directory, measured, skipped, progress);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  return { measured, skipped };
}

/** @param {(text: string) => void} progress @returns {string | { reason: string }} */
function buildProgram(progress) {
  progress('building the native program');
  const build = path.join(root, '.tmp', 'guard');
  const cmake = (/** @type {string[]} */ ...args) => spawnSync('cmake', args, { cwd: root, encoding: 'utf8' });
  if (cmake('--version').status !== 0) return { reason: 'CMake is not installed' };
  // Always the same flags: instructions are compared with those of another build.
  const configured = cmake('-S', 'native', '-B', build, '-DCMAKE_BUILD_TYPE=Release', '-DCMAKE_CXX_FLAGS_RELEASE=-O2');
  if (configured.status !== 0) {
    const missing = /GoogleTest was not found/.test(configured.stderr);
    if (missing) return { reason: 'GoogleTest is not installed' };
    throw new Error(`CMake could not configure the guard's program:\n${configured.stderr}`);
  }
  const built = cmake('--build', build, '--parallel', String(os.availableParallelism()), '--target', 'guard_bench');
  if (built.status !== 0) throw new Error(`The guard's program does not compile:\n${built.stdout}${built.stderr}`);
  return path.join(build, 'guard_bench');
}

/** @param {string} program @param {string} directory @param {Measured} measured @param {Record<string, string>} skipped @param {(text: string) => void} progress */
function measureNative(program, directory, measured, skipped, progress) {
  const valgrind = spawnSync('valgrind', ['--version']).status === 0;
  if (!valgrind) skipped['instructions.'] = 'valgrind is not installed';
  for (const what of ['save', 'load']) {
    for (const kind of /** @type {const} */ (['large', 'small'])) {
      const { tensors, bytes } = shapes.native[kind];
      const name = `${what}.${kind}`;
      const args = (/** @type {number} */ times) => [directory, what, kind, String(times)];
      progress(`native ${name}`);
      const counts = JSON.parse(run(program, args(20)).stdout);
      add(measured, `native.allocations.${name}`, counts.allocations, 'a program', 0.15);
      add(measured, `native.allocatedBytes.${name}`, counts.allocatedBytes / tensors, 'bytes a tensor', 0.15);
      add(measured, `native.copied.${name}`, counts.bytesCopied / bytes, 'of the bytes', 0.001);
      add(measured, `native.notDirect.${name}`, 1 - counts.directBytes / bytes, 'of the bytes', 0.001);
      if (what === 'save') add(measured, `native.syncs.${name}`, counts.syncs, 'a program', 0);
      if (!valgrind) continue;
      progress(`instructions of native ${name}`);
      const each = (instructions(program, args(5)) - instructions(program, args(1))) / 4;
      const [value, unit] = kind === 'large' ? [each / (bytes / GB), 'a GB'] : [each / tensors, 'a tensor'];
      add(measured, `instructions.${name}`, value, unit, 0.05);
    }
  }
}

/** @param {string} program @param {readonly string[]} args */
function instructions(program, args) {
  const valgrind = ['--tool=callgrind', '--callgrind-out-file=/dev/null', program, ...args];
  const { stderr } = run('valgrind', valgrind);
  const collected = /Collected : (\d+)/.exec(stderr)?.[1];
  if (!collected) throw new Error(`callgrind told of no instructions:\n${stderr}`);
  return Number(collected);
}

/** @param {string} directory @param {Measured} measured @param {(text: string) => void} progress */
function measureNode(directory, measured, progress) {
  for (const what of ['save', 'restore']) {
    for (const kind of /** @type {const} */ (['large', 'small'])) {
      const { tensors, bytes } = shapes.node[kind];
      const name = `${what}.${kind}`;
      progress(`package ${name}`);
      // The heap is counted by pages of 256 KiB: of the garbage of a few large tensors' calls that many have to come together.
      const times = kind === 'large' ? 40 : 4;
      // A young generation of half a gigabyte: nothing is collected in between, so that all garbage is counted. Nothing
      // is compiled in the background, so that as much of it is made every time.
      const flags = ['--expose-gc', '--max-semi-space-size=512', '--min-semi-space-size=512', '--single-threaded'];
      const { heapBytes, bytesCopied, syncs } = answerIn(
        run(process.execPath, [...flags, workload, directory, what, kind, String(times)]).stdout,
      );
      if (heapBytes !== null) {
        const [value, unit] =
          kind === 'large' ? [heapBytes / times, 'bytes a call'] : [heapBytes / times / tensors, 'bytes a tensor'];
        add(measured, `heap.${name}`, value, unit, 0.2);
      }
      add(measured, `copied.${name}`, bytesCopied / times / bytes, 'of the bytes', 0.1);
      if (what === 'save') add(measured, `flushes.${name}`, syncs / times, 'a save', 0);
    }
  }
}

/** @param {string} directory @param {Measured} measured @param {Record<string, string>} skipped @param {(text: string) => void} progress */
function measureCalls(directory, measured, skipped, progress) {
  if (spawnSync('strace', ['-o', '/dev/null', 'true']).status !== 0) {
    skipped['calls.'] = 'strace is not installed, or may not trace here';
    return;
  }
  for (const what of ['save', 'restore']) {
    for (const kind of /** @type {const} */ (['large', 'small'])) {
      progress(`system calls of ${what}.${kind}`);
      const output = path.join(directory, 'trace');
      const counted = (/** @type {number} */ times) => {
        const options = ['-f', '-y', '-s', '256', '-o', output, '-e', `trace=${watched}`];
        run('strace', [...options, process.execPath, '--expose-gc', workload, directory, what, kind, String(times)]);
        return countCalls(readFileSync(output, 'utf8'), directory);
      };
      const each = perCall(counted(1), counted(4), 3);
      for (const [call, count] of Object.entries(each))
        add(measured, `calls.${what}.${kind}.${call}`, count, `a ${what}`, 0.1);
    }
  }
}

/**
 * The calls by name in the output of `strace -f -y` that are about files below a directory; a runtime and its libraries
 * open files of their own whenever they please. Rings are asked for many files at once, and all count.
 * @param {string} trace @param {string} directory
 */
export function countCalls(trace, directory) {
  /** @type {Record<string, number>} */
  const counts = {};
  for (const line of trace.split('\n')) {
    const call = /^\d+\s+(\w+)\(/.exec(line)?.[1];
    if (!call || !(line.includes(`${directory}/`) || call === 'io_uring_enter')) continue;
    counts[call] = (counts[call] ?? 0) + 1;
  }
  return counts;
}

/**
 * What one repetition adds. Calls that only starting the process makes fall out.
 * @param {Record<string, number>} few @param {Record<string, number>} more @param {number} repetitions between the two
 */
export function perCall(few, more, repetitions) {
  /** @type {Record<string, number>} */
  const each = {};
  for (const [call, count] of Object.entries(more)) {
    const value = (count - (few[call] ?? 0)) / repetitions;
    if (value >= 0.5) each[call] = value;
  }
  return each;
}

/** @param {Measured} measured @param {string} metric @param {number} value @param {string} unit @param {number} tolerance */
function add(measured, metric, value, unit, tolerance) {
  measured[metric] = { value: Number(value.toPrecision(6)), unit, tolerance };
}

/** @param {string} command @param {readonly string[]} args */
function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 });
  if (result.error) throw result.error;
  if (result.status !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${result.status ?? result.signal}:\n${result.stderr}`);
  return result;
}
