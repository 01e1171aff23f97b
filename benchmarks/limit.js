// The disk's own limit: fio with direct I/O, fsync at the end, at the best of its settings. Its buffers lie in huge pages
// (GLIBC_TUNABLES, malloc): with 4 KiB pages every request falls into many segments, and on a virtual disk the same fio
// reads less than half as much. A limit measured that way would flatter us.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import path from 'node:path';

const settings = [
  ['--bs=4m', '--iodepth=8', '--ioengine=io_uring'],
  ['--bs=1m', '--iodepth=32', '--ioengine=io_uring'],
  ['--bs=4m', '--iodepth=8', '--ioengine=libaio'],
];

export function fioVersion() {
  const result = spawnSync('fio', ['--version'], { encoding: 'utf8' });
  return result.status === 0 ? result.stdout.trim() : null;
}

/**
 * Bytes per second that fio moves, the best of its settings.
 * @param {'write' | 'read'} direction
 * @param {string} directory
 * @param {number} bytes
 */
export function diskLimit(direction, directory, bytes) {
  const file = path.join(directory, 'fio.tmp');
  if (direction === 'read') run('write', file, bytes, settings[0]);
  const figures = settings.map((setting) => {
    if (direction === 'write') rmSync(file, { force: true }); // A save writes to new files, so fio does, too.
    return run(direction, file, bytes, setting);
  });
  rmSync(file, { force: true });
  return figures.reduce((best, figure) => (figure.bytesPerSecond > best.bytesPerSecond ? figure : best));
}

function run(direction, file, bytes, setting) {
  const args = [
    '--name=limit',
    `--filename=${file}`,
    `--size=${bytes}`,
    `--rw=${direction}`,
    ...setting,
    '--direct=1',
    '--end_fsync=1',
    '--randrepeat=0',
    '--mem=malloc',
    '--iomem_align=2m',
    '--output-format=json',
  ];
  const env = { ...process.env, GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' };
  const result = spawnSync('fio', args, { encoding: 'utf8', env });
  if (result.status !== 0) throw new Error(`fio failed: ${result.stderr || result.stdout}`);
  const job = JSON.parse(result.stdout.slice(result.stdout.indexOf('{'))).jobs[0];
  // job_runtime includes the closing fsync; bw_bytes leaves it out.
  return {
    bytesPerSecond: bytes / (job.job_runtime / 1000),
    command: `GLIBC_TUNABLES=glibc.malloc.hugetlb=1 fio ${args.join(' ')}`,
  };
}
