// @ts-check
// tensor-checkpoint as a contestant: a process that saves, and new processes that restore.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { AskedChild } from './asked-child.js';
import { dropCache } from './cache.js';
import { answerIn } from './reply.js';

const saver = fileURLToPath(new URL('../children/saver.js', import.meta.url));
const restorer = fileURLToPath(new URL('../children/restorer.js', import.meta.url));

/**
 * @typedef {import('./state.js').StateOrder & { write: Record<string, unknown>, read: Record<string, unknown>, env?: Record<string, string>, wrap?: readonly string[] }} OurOrder
 * `wrap`: a command that starts its arguments as a command, such as strace or one that joins a control group */

export class Ours {
  /** Where the checkpoints are. */
  get directory() {
    return this.#directory;
  }

  #workspace;
  #order;
  #directory;
  /** @type {AskedChild | null} */
  #child = null;
  /** @type {string | null} */
  #prefix = null;

  /** @param {import('./workspace.js').Workspace} workspace @param {OurOrder} order */
  constructor(workspace, order) {
    this.#workspace = workspace;
    this.#order = order;
    this.#directory = workspace.path('ours');
    mkdirSync(this.#directory, { recursive: true });
  }

  /** One measured save. The first of a new process is made before, and not counted: it loads and compiles what it runs. */
  async save() {
    let first;
    if (!this.#child) {
      this.#child = this.#start();
      first = await this.#child.ask({ op: 'save' });
    }
    const figures = await this.#child.ask({ op: 'save' });
    this.#prefix = figures.prefix;
    return { ...figures, first };
  }

  /** @param {'resume' | 'restore'} mode */
  async restore(mode) {
    if (!this.#prefix) throw new Error('Nothing was saved yet.');
    const dropped = dropCache(this.#directory);
    const { env, wrap, ...order } = this.#order;
    const [command, args] = wrapped(wrap, [
      '--expose-gc',
      restorer,
      JSON.stringify({ ...order, prefix: this.#prefix, mode }),
    ]);
    const { stdout, seconds } = await this.#workspace.run(command, args, { env });
    return { ...answerIn(stdout), processSeconds: seconds, dropped };
  }

  /** Frees the state's memory; the checkpoint stays, and a later save starts anew. */
  async rest() {
    const child = this.#child;
    this.#child = null;
    await child?.end();
  }

  /** Frees memory and disk. */
  async end() {
    await this.rest();
    this.#prefix = null;
    this.#workspace.remove(path.basename(this.#directory));
  }

  #start() {
    const { env, wrap, ...order } = this.#order;
    const [command, args] = wrapped(wrap, [
      '--expose-gc',
      saver,
      JSON.stringify({ ...order, directory: this.#directory }),
    ]);
    return new AskedChild(this.#workspace, 'the saving process', command, args, env);
  }
}

/** @param {readonly string[] | undefined} wrap @param {readonly string[]} args @returns {[string, string[]]} */
function wrapped(wrap, args) {
  const [command, ...rest] = [...(wrap ?? []), process.execPath, ...args];
  return [/** @type {string} */ (command), rest];
}
