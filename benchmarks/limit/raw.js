// @ts-check
// The disk's limit by our own hand, for machines without fio and as a check on it where there is one: a process that does
// nothing but keep a number of aligned, direct requests under way. It shares no code with the engine that is measured.
// It lives on between its transfers, because making gigabytes of memory takes longer than moving them.
import { fileURLToPath } from 'node:url';
import { AskedChild } from '../lib/asked-child.js';
import { memoryOf, movedBytes } from './setting.js';

const program = fileURLToPath(new URL('raw-child.js', import.meta.url));
/** Each request under way occupies one thread of libuv's pool. */
const THREADS = 32;

export class RawProgram {
  #workspace;
  /** @type {AskedChild | null} */
  #child = null;

  /** @param {import('../lib/workspace.js').Workspace} workspace */
  constructor(workspace) {
    this.#workspace = workspace;
  }

  /** Whether it holds memory. */
  get holds() {
    return this.#child !== null;
  }

  /**
   * @param {'write' | 'read'} direction a read finds the files data-0 … that a write of as many files left
   * @param {number} bytes
   * @param {import('./setting.js').Setting} setting
   * @param {boolean} durable
   */
  async run(direction, bytes, setting, durable) {
    const { block, depth, files } = setting;
    const order = {
      direction,
      directory: this.#workspace.path('limit'),
      block,
      depth,
      files,
      bytes: movedBytes(bytes, setting),
      memory: memoryOf(bytes, setting),
      durable,
    };
    const env = { UV_THREADPOOL_SIZE: String(THREADS) };
    this.#child ??= new AskedChild(this.#workspace, 'the raw program', process.execPath, [program], env);
    const { seconds } = await this.#child.ask(order);
    const command = `UV_THREADPOOL_SIZE=${THREADS} node benchmarks/limit/raw-child.js '${JSON.stringify(order)}'`;
    return { seconds, bytes: order.bytes, command };
  }

  /** Frees its memory; a later run starts it again. */
  async rest() {
    const child = this.#child;
    this.#child = null;
    await child?.end();
  }
}
