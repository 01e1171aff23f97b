// @ts-check
// The disk's limit as fio sees it: direct I/O, flushed at the end, new files for writes. Its buffers lie in huge pages
// (GLIBC_TUNABLES, malloc): with 4 KiB pages every request falls into many segments, and on a virtual disk the same fio
// reads less than half as much. A limit measured that way would flatter us.
import { spawnSync } from 'node:child_process';

const env = { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' };

/** @typedef {import('./search.js').Setting} Setting */

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
 * @param {string} directory holds the files fio-0 … of the setting's number, which a read finds there
 * @param {number} bytes
 * @param {Setting} setting
 * @param {boolean} durable
 */
export function fioArguments(direction, directory, bytes, setting, durable) {
  const perFile = Math.floor(bytes / setting.files / setting.block) * setting.block;
  const jobs = Array.from({ length: setting.files }, (_, index) => [
    `--name=${index}`,
    `--filename=${directory}/fio-${index}`,
  ]);
  return [
    `--size=${perFile}`,
    `--rw=${direction}`,
    `--bs=${setting.block}`,
    `--iodepth=${Math.max(1, Math.round(setting.depth / setting.files))}`,
    `--ioengine=${setting.engine}`,
    '--direct=1',
    `--end_fsync=${durable && direction === 'write' ? 1 : 0}`,
    '--thread=1',
    '--mem=malloc',
    '--iomem_align=2m',
    '--output-format=json',
    ...jobs.flat(),
  ];
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
    seconds: fioSeconds(stdout),
    bytes: movedBytes(bytes, setting),
    command: `GLIBC_TUNABLES=${env.GLIBC_TUNABLES} fio ${args.join(' ')}`,
  };
}

/** What a setting really moves: whole blocks in every file. @param {number} bytes @param {Setting} setting */
export function movedBytes(bytes, { files, block }) {
  return Math.floor(bytes / files / block) * block * files;
}

/** job_runtime includes the closing flush; the bandwidth that fio prints leaves it out. @param {string} stdout */
export function fioSeconds(stdout) {
  const jobs = JSON.parse(stdout.slice(stdout.indexOf('{'))).jobs;
  // The jobs run side by side: the last one to end has everything on the disk.
  const longest = Math.max(...jobs.map((/** @type {{ job_runtime: number }} */ job) => job.job_runtime));
  if (!(longest > 0)) throw new Error('fio reported no run time.');
  return longest / 1000;
}
