// @ts-check
// The disk's limit by our own hand, for machines without fio and as a check on it where there is one: a process that does
// nothing but keep a number of aligned, direct requests under way. It shares no code with the engine that is measured.
import { fileURLToPath } from 'node:url';
import { answerIn } from '../lib/reply.js';
import { movedBytes } from './fio.js';

const child = fileURLToPath(new URL('raw-child.js', import.meta.url));

/**
 * @param {import('../lib/workspace.js').Workspace} workspace
 * @param {'write' | 'read'} direction a read finds the files that a write of as many files left
 * @param {number} bytes
 * @param {import('./search.js').Setting} setting
 * @param {boolean} durable
 */
export async function runRaw(workspace, direction, bytes, setting, durable) {
  const order = {
    direction,
    directory: workspace.path('limit'),
    ...setting,
    bytes: movedBytes(bytes, setting),
    durable,
  };
  // Each request under way occupies one thread of libuv's pool.
  const env = { UV_THREADPOOL_SIZE: String(Math.max(setting.depth, setting.files)) };
  const { stdout } = await workspace.run(process.execPath, [child, JSON.stringify(order)], { env });
  const { seconds } = answerIn(stdout);
  return {
    seconds,
    bytes: order.bytes,
    command: `UV_THREADPOOL_SIZE=${env.UV_THREADPOOL_SIZE} node benchmarks/limit/raw-child.js '${JSON.stringify(order)}'`,
  };
}
