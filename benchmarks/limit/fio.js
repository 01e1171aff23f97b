// @ts-check
// The disk's limit as fio sees it: direct I/O, flushed at the end, new files for writes. Its buffers lie in huge pages
// (GLIBC_TUNABLES, malloc): with 4 KiB pages every request falls into many segments, and on a virtual disk the same fio
// reads less than half as much. A limit measured that way would flatter us.
import { spawnSync } from 'node:child_process';
import { memoryOf, movedBytes } from './setting.js';

const env = { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' };

/** @typedef {import('./setting.js').Setting} Setting */

export function fioVersion() {
  const { status, stdout } = spawnSync('fio', ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}

/** Engines of this fio that work in the directory. @param {string} directory */
export function fioEngines(directory) {
  return ['io_uring', 'libaio'].filter((ioengine) => {
    const args = ['--name=probe', `--filename=${directory}/fio-probe`, '--size=1m', '--bs=64k', '--rw=write'];
    const { status } = spawnSync('fio', [...args, '--direct=1', '--unlink=1', `--ioengine=${ioengine}`], {
      env: { ...process.env, ...env },
    });
    return status === 0;
  });
}

/**
 * @param {'write' | 'read'} direction
 * @param {string} directory holds the files data-0 … of the setting's number, which a read finds there
 * @param {number} bytes
 * @param {Setting} setting
 * @param {boolean} durable
 */
export function fioArguments(direction, directory, bytes, setting, durable) {
  const few = setting.memory === 'few';
  const files = Array.from({ length: setting.files }, (_, index) => `${directory}/data-${index}`);
  const total = movedBytes(bytes, setting);
  // A job a file keeps several cores busy. But a job's clock starts when it has filled its own buffers: where those are
  // large the jobs would not run side by side, and seem faster than the disk is. So one job has all the files there.
  const jobs = few
    ? files.map((file, index) => [`--name=${index}`, `--filename=${escapeColons(file)}`])
    : [['--name=all', `--filename=${files.map(escapeColons).join(':')}`, '--file_service_type=roundrobin:1']];
  return [
    `--size=${few ? total / setting.files : total}`,
    ...(few ? [`--rw=${direction}`] : manyBuffers(direction)),
    `--bs=${setting.block}`,
    `--iodepth=${requestsOfJob(bytes, setting)}`,
    `--ioengine=${setting.engine}`,
    '--direct=1',
    `--end_fsync=${durable && direction === 'write' ? 1 : 0}`,
    '--scramble_buffers=0',
    '--thread=1',
    '--mem=malloc',
    '--iomem_align=2m',
    '--output-format=json',
    ...jobs.flat(),
  ];
}

/** fio has one buffer for each request under way: for a place per block, all blocks are. @param {number} bytes @param {Setting} setting */
function requestsOfJob(bytes, setting) {
  if (setting.memory === 'state') return Math.floor(memoryOf(bytes, setting) / setting.block);
  return Math.max(1, Math.round(setting.depth / setting.files));
}

/** A colon ends a file's name for fio. @param {string} file */
function escapeColons(file) {
  return file.replaceAll(':', '\\:');
}

/**
 * Buffers that exist before the clock starts. fio fills those that it writes from (a pattern is quickest), and leaves
 * those that it reads into to the first read, unless the job could write as well: it then reads 100 % of a mixture.
 * @param {'write' | 'read'} direction
 */
function manyBuffers(direction) {
  return direction === 'write'
    ? ['--rw=write', '--buffer_pattern=0x9e3779b97f4a7c15']
    : ['--rw=rw', '--rwmixread=100', '--zero_buffers=1'];
}

/**
 * @param {import('../lib/workspace.js').Workspace} workspace
 * @param {'write' | 'read'} direction
 * @param {number} bytes
 * @param {Setting} setting
 * @param {boolean} durable
 */
export async function runFio(workspace, direction, bytes, setting, durable) {
  const args = fioArguments(direction, workspace.path('limit'), bytes, setting, durable);
  const { stdout } = await workspace.run('fio', args, { env });
  return {
    seconds: fioSeconds(stdout, direction, movedBytes(bytes, setting)),
    bytes: movedBytes(bytes, setting),
    command: `GLIBC_TUNABLES=${env.GLIBC_TUNABLES} fio ${args.join(' ')}`,
  };
}

/**
 * job_runtime includes the closing flush; the bandwidth that fio prints leaves it out.
 * @param {string} stdout
 * @param {'write' | 'read'} direction
 * @param {number} bytes that must have been moved, all of them in that direction
 */
export function fioSeconds(stdout, direction, bytes) {
  /** @type {Array<{ job_runtime: number, read?: { io_bytes: number }, write?: { io_bytes: number } }>} */
  const jobs = JSON.parse(stdout.slice(stdout.indexOf('{'))).jobs;
  const moved = jobs.reduce((sum, job) => sum + (job[direction]?.io_bytes ?? 0), 0);
  if (moved !== bytes) throw new Error(`fio moved ${moved} bytes (${direction}) where ${bytes} were asked for.`);
  // The jobs run side by side: the last one to end has everything on the disk.
  const longest = Math.max(...jobs.map((job) => job.job_runtime));
  if (!(longest > 0)) throw new Error('fio reported no run time.');
  return longest / 1000;
}
