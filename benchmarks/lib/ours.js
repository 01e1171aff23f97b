// @ts-check
// tensor-checkpoint as a contestant: a process that saves, and new processes that restore.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
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
  /** @type {ReturnType<import('./workspace.js').Workspace['start']> | null} */
  #child = null;
  /** @type {string | null} */
  #prefix = null;
  #stderr = '';

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
      await this.#start();
      first = await this.#ask();
    }
    const figures = await this.#ask();
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
    if (!child) return;
    this.#child = null;
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.send({ op: 'end' });
    await ended;
  }

  /** Frees memory and disk. */
  async end() {
    await this.rest();
    this.#prefix = null;
    this.#workspace.remove(path.basename(this.#directory));
  }

  async #start() {
    const { env, wrap, ...order } = this.#order;
    const [command, args] = wrapped(wrap, [
      '--expose-gc',
      saver,
      JSON.stringify({ ...order, directory: this.#directory }),
    ]);
    const child = this.#workspace.start(command, args, { env, ipc: true });
    this.#stderr = '';
    child.stderr.setEncoding('utf8').on('data', (chunk) => {
      this.#stderr = (this.#stderr + chunk).slice(-20_000);
    });
    child.stdout.resume();
    this.#child = child;
    await this.#answer();
  }

  async #ask() {
    const answer = this.#answer();
    this.#child?.send({ op: 'save' });
    return await answer;
  }

  /** @returns {Promise<any>} */
  #answer() {
    const child = this.#child;
    if (!child) throw new Error('The saving process has ended.');
    return new Promise((resolve, reject) => {
      const onMessage = (/** @type {any} */ message) => {
        child.off('close', onClose);
        if (message.error) reject(new Error(message.error));
        else resolve(message);
      };
      const onClose = (/** @type {number | null} */ status, /** @type {string | null} */ signal) => {
        child.off('message', onMessage);
        this.#child = null;
        const reason = signal === 'SIGKILL' ? ' (out of memory?)' : '';
        reject(
          new Error(
            `The saving process ended with ${signal ?? status}${reason}: ${this.#stderr.trim().split('\n').slice(-6).join('\n')}`,
          ),
        );
      };
      child.once('message', onMessage);
      child.once('close', onClose);
    });
  }
}

/** @param {readonly string[] | undefined} wrap @param {readonly string[]} args @returns {[string, string[]]} */
function wrapped(wrap, args) {
  const [command, ...rest] = [...(wrap ?? []), process.execPath, ...args];
  return [/** @type {string} */ (command), rest];
}
