// @ts-check
// The limit of a disk, to be measured again in every round, with the settings that a search found to be best.
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { availableMemory } from '../lib/machine.js';
import { fioEngines, fioVersion, runFio } from './fio.js';
import { RawProgram } from './raw.js';
import { searchSettings } from './search.js';
import { fitted, memoryOf, movedBytes } from './setting.js';

/** @typedef {import('./setting.js').Setting} Setting */
/** @typedef {import('./search.js').Tried} Tried */
/** @typedef {Record<'write' | 'read', { state: Tried[], few: Tried[] }>} Tries the best first */
/** @typedef {{ setting: Setting, seconds: number, bytesPerSecond: number, command: string }} Figure */

const directions = /** @type {const} */ (['write', 'read']);

export class DiskLimit {
  #workspace;
  #durable;
  #raw;
  /** What a search tried, for the report. @type {Tries} */
  tried = { write: { state: [], few: [] }, read: { state: [], few: [] } };

  /**
   * @param {import('../lib/workspace.js').Workspace} workspace
   * @param {{ durable: boolean, tools?: 'all' | 'fio' | 'raw' }} options
   */
  constructor(workspace, { durable, tools = 'all' }) {
    this.#workspace = workspace;
    this.#durable = durable;
    this.#raw = new RawProgram(workspace);
    this.fio = tools === 'raw' ? null : fioVersion();
    this.engines = [...(this.fio ? fioEngines(workspace.directory) : []), ...(tools === 'fio' ? [] : ['raw'])];
    if (this.engines.length === 0) throw new Error('fio was asked for, and is not installed or does not work here.');
    this.#clear();
  }

  /**
   * @param {number} bytes moved by each try
   * @param {(direction: 'write' | 'read', setting: Setting) => void} progress
   */
  async search(bytes, progress) {
    for (const direction of directions) {
      this.tried[direction] = await searchSettings(this.engines, bytes, async (setting) => {
        progress(direction, setting);
        return (await this.#run(direction, bytes, setting)).bytesPerSecond;
      });
    }
    await this.rest();
    this.#clear();
  }

  /**
   * The limit now: fio and the raw program with as much memory as the state has (`tools`, and the faster of them), and
   * beside it the same disk with a few buffers. The files are gone afterwards.
   * @param {number} bytes
   * @param {{ brief?: boolean }} [how] `brief`: only the tool that was faster in the search, and no few buffers
   */
  async measure(bytes, { brief = false } = {}) {
    /** @type {any} */
    const found = {};
    for (const direction of directions) {
      const { state, few } = this.tried[direction];
      const settings = [...bestOfTools(state).slice(0, brief ? 1 : 2), ...(brief ? [] : few.slice(0, 1))].map(
        ({ setting }) => fitted(bytes, setting),
      );
      if (settings.length === 0) throw new Error('The limit is measured after it was searched for.');
      // Settings of as many files follow one another, so that reads find what they need.
      /** @type {Figure[]} */
      const figures = [];
      for (const setting of settings.sort((a, b) => a.files - b.files)) {
        figures.push(await this.#run(direction, bytes, setting));
      }
      const fastest = (/** @type {Setting['memory']} */ memory) =>
        figures
          .filter(({ setting }) => setting.memory === memory)
          .sort((a, b) => b.bytesPerSecond - a.bytesPerSecond)[0];
      found[direction] = {
        .../** @type {Figure} */ (fastest('state')),
        few: fastest('few') ?? null,
        tools: figures.filter(({ setting }) => setting.memory === 'state'),
      };
    }
    this.#clear();
    return /** @type {Record<'write' | 'read', Figure & { few: Figure | null, tools: Figure[] }>} */ (found);
  }

  /** Frees the memory that is kept from one transfer to the next. */
  async rest() {
    await this.#raw.rest();
  }

  /** @param {'write' | 'read'} direction @param {number} bytes @param {Setting} setting @returns {Promise<Figure>} */
  async #run(direction, bytes, setting) {
    if (direction === 'read') await this.#provide(bytes, setting);
    // A save writes to new files, so the limit does, too.
    else this.#clear();
    return this.#transfer(direction, bytes, setting, this.#durable);
  }

  /** @param {'write' | 'read'} direction @param {number} bytes @param {Setting} setting @param {boolean} durable */
  async #transfer(direction, bytes, setting, durable) {
    const workspace = this.#workspace;
    const raw = setting.engine === 'raw';
    if (!raw && availableMemory() < memoryOf(bytes, setting) * 1.2) await this.rest();
    const {
      seconds,
      command,
      bytes: moved,
    } = raw
      ? await this.#raw.run(direction, bytes, setting, durable)
      : await runFio(workspace, direction, bytes, setting, durable);
    return {
      setting,
      seconds,
      bytesPerSecond: moved / seconds,
      command: command.replaceAll(workspace.directory, 'DIR'),
    };
  }

  /** Files to read, on the disk: those that are there if they are long enough. @param {number} bytes @param {Setting} setting */
  async #provide(bytes, setting) {
    const length = movedBytes(bytes, setting) / setting.files;
    const files = Array.from({ length: setting.files }, (_, index) => this.#workspace.path(`limit/data-${index}`));
    if (files.every((file) => existsSync(file) && statSync(file).size >= length)) return;
    this.#clear();
    await this.#transfer('write', bytes, setting, true);
  }

  #clear() {
    this.#workspace.remove('limit');
    mkdirSync(this.#workspace.path('limit'));
  }
}

/** The best of fio and the best of the raw program, the faster first. @param {readonly Tried[]} tried best first */
function bestOfTools(tried) {
  const tools = [true, false].map((raw) => tried.find(({ setting }) => (setting.engine === 'raw') === raw));
  return tools.flatMap((one) => one ?? []).sort((a, b) => b.bytesPerSecond - a.bytesPerSecond);
}
