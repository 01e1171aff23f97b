// @ts-check
// A control group that limits the memory of the processes in it, page cache included. Needs root, or a delegated group.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const ways = [
  { parent: '/sys/fs/cgroup', limit: 'memory.max', probe: 'cgroup.controllers' },
  { parent: '/sys/fs/cgroup/memory', limit: 'memory.limit_in_bytes', probe: 'memory.limit_in_bytes' },
];

/**
 * @param {number} bytes
 * @returns {{ wrap: readonly string[], end: () => void } | null} `wrap`: a command that starts its arguments within the
 *   limit; null where no such group can be made
 */
export function limitMemory(bytes) {
  for (const { parent, limit, probe } of ways) {
    if (!existsSync(path.join(parent, probe))) continue;
    const group = path.join(parent, `tensor-checkpoint-bench-${process.pid}-${Date.now()}`);
    try {
      mkdirSync(group);
    } catch {
      continue;
    }
    const end = () => {
      try {
        // What remains in the cache belongs to nobody in particular again.
        for (const pid of readFileSync(path.join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean)) {
          process.kill(Number(pid), 'SIGKILL');
        }
        rmdirSync(group);
      } catch {
        // A process in it is still ending; an empty group does no harm.
      }
    };
    try {
      writeFileSync(path.join(group, limit), String(bytes));
      process.once('exit', end);
      const join = `echo $$ > ${path.join(group, 'cgroup.procs')} && exec "$@"`;
      return { wrap: ['sh', '-c', join, 'sh'], end };
    } catch {
      end();
    }
  }
  return null;
}
