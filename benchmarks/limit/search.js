// @ts-check
// Finds the setting at which this disk is fastest: block size, requests under way and number of files, one after the
// other, each with the best of the ones before, twice around until nothing gets better.
import { existsSync, mkdirSync } from 'node:fs';
import { fioEngines, fioVersion, runFio } from './fio.js';
import { runRaw } from './raw.js';

/** @typedef {{ engine: string, block: number, depth: number, files: number }} Setting */
/** @typedef {{ setting: Setting, bytesPerSecond: number }} Tried */

const MiB = 2 ** 20;
const axes = {
  block: [MiB / 4, MiB, 4 * MiB, 16 * MiB],
  depth: [1, 4, 8, 16, 32],
  files: [1, 4, 8],
};

/**
 * Coordinate search: the best value of each axis in turn, until a whole turn brings nothing. Every setting is tried once.
 * @param {Record<string, readonly (number | string)[]>} choices per axis, in the order in which they are tried
 * @param {Setting} start
 * @param {(setting: Setting) => Promise<number>} measure larger is better
 * @param {(setting: Setting) => boolean} [possible]
 * @returns {Promise<Tried[]>} everything tried, the best first
 */
export async function coordinateSearch(choices, start, measure, possible = () => true) {
  /** @type {Map<string, Tried>} */
  const tried = new Map();
  const attempt = async (/** @type {Setting} */ setting) => {
    const key = JSON.stringify(setting);
    const known = tried.get(key);
    if (known) return known;
    const result = { setting, bytesPerSecond: await measure(setting) };
    tried.set(key, result);
    return result;
  };
  let best = await attempt(start);
  for (let turn = 0; turn < 3; turn++) {
    const before = best;
    for (const [axis, values] of Object.entries(choices)) {
      for (const value of values) {
        const setting = /** @type {Setting} */ ({ ...best.setting, [axis]: value });
        if (!possible(setting)) continue;
        const result = await attempt(setting);
        if (result.bytesPerSecond > best.bytesPerSecond) best = result;
      }
    }
    if (best === before) break;
  }
  return [...tried.values()].sort((a, b) => b.bytesPerSecond - a.bytesPerSecond);
}

/**
 * The disk's limit, to be measured again in every round with the best settings that a search found before.
 */
export class DiskLimit {
  #workspace;
  #durable;
  /** @type {{ write: Setting[], read: Setting[] }} */
  #settings = { write: [], read: [] };
  /** The files that now lie ready to be read. @type {string | null} */
  #provided = null;
  /** What the search tried, for the report. @type {{ write: Tried[], read: Tried[] }} */
  tried = { write: [], read: [] };

  /**
   * @param {import('../lib/workspace.js').Workspace} workspace
   * @param {{ durable: boolean, tools?: 'all' | 'fio' | 'raw' }} options
   */
  constructor(workspace, { durable, tools = 'all' }) {
    this.#workspace = workspace;
    this.#durable = durable;
    this.fio = tools === 'raw' ? null : fioVersion();
    this.engines = [...(this.fio ? fioEngines(workspace.directory) : []), ...(tools === 'fio' ? [] : ['raw'])];
    if (this.engines.length === 0) throw new Error('fio was asked for, and is not installed or does not work here.');
    mkdirSync(workspace.path('limit'), { recursive: true });
  }

  /**
   * @param {number} bytes moved by each try
   * @param {(text: string) => void} progress
   */
  async search(bytes, progress) {
    for (const direction of /** @type {const} */ (['write', 'read'])) {
      // fio's engines against one another, and our own by itself: both stay in the race.
      const fioOnly = this.engines.filter((engine) => engine !== 'raw');
      const races = [fioOnly, this.engines.filter((engine) => engine === 'raw')].filter((race) => race.length > 0);
      for (const race of races) {
        const start = { engine: /** @type {string} */ (race[0]), block: 4 * MiB, depth: 8, files: 1 };
        const found = await coordinateSearch(
          { ...axes, engine: race },
          start,
          async (setting) => {
            progress(`looking for the disk's limit: ${direction}, ${describeSetting(setting)}`);
            return (await this.#run(direction, bytes, setting)).bytesPerSecond;
          },
          ({ block, depth, files }) => files <= depth && block * depth <= 512 * MiB && block * files <= bytes,
        );
        this.tried[direction].push(...found);
        this.#settings[direction].push(...found.slice(0, race === fioOnly ? 2 : 1).map(({ setting }) => setting));
      }
      this.tried[direction].sort((a, b) => b.bytesPerSecond - a.bytesPerSecond);
    }
    this.#workspace.remove('limit');
    mkdirSync(this.#workspace.path('limit'));
  }

  /**
   * The best of the chosen settings, now. The files are gone afterwards.
   * @param {'write' | 'read'} direction
   * @param {number} bytes
   */
  async measure(direction, bytes) {
    const [first, ...rest] = this.#settings[direction];
    if (!first) throw new Error('The limit is measured after it was searched for.');
    const figures = [await this.#run(direction, bytes, first)];
    for (const setting of rest) figures.push(await this.#run(direction, bytes, setting));
    this.#workspace.remove('limit');
    mkdirSync(this.#workspace.path('limit'));
    const best = figures.reduce((a, b) => (b.bytesPerSecond > a.bytesPerSecond ? b : a));
    return { ...best, all: figures.map(({ setting, bytesPerSecond }) => ({ setting, bytesPerSecond })) };
  }

  /** @param {'write' | 'read'} direction @param {number} bytes @param {Setting} setting */
  async #run(direction, bytes, setting) {
    const tool = setting.engine === 'raw' ? runRaw : runFio;
    const name = setting.engine === 'raw' ? 'raw' : 'fio';
    const workspace = this.#workspace;
    if (direction === 'write') {
      // A save writes to new files, so the limit does, too.
      for (let index = 0; index < setting.files; index++) workspace.remove(`limit/${name}-${index}`);
    } else {
      await this.#provide(bytes, setting, tool);
    }
    const { seconds, bytes: moved, command } = await tool(workspace, direction, bytes, setting, this.#durable);
    const anywhere = command.replaceAll(workspace.directory, 'DIR');
    return { setting, seconds, bytesPerSecond: moved / seconds, command: anywhere };
  }

  /**
   * Files to read: written anew whenever number or size differ from those of the read before.
   * @param {number} bytes @param {Setting} setting @param {typeof runRaw} tool
   */
  async #provide(bytes, setting, tool) {
    const key = `${setting.engine === 'raw'} ${setting.files} ${Math.floor(bytes / setting.files / setting.block) * setting.block}`;
    const first = this.#workspace.path(`limit/${setting.engine === 'raw' ? 'raw' : 'fio'}-0`);
    if (this.#provided === key && existsSync(first)) return;
    await tool(this.#workspace, 'write', bytes, setting, true);
    this.#provided = key;
  }
}

/** @param {Setting} setting */
export function describeSetting({ engine, block, depth, files }) {
  const size = block >= MiB ? `${block / MiB} MiB` : `${block / 1024} KiB`;
  return `${engine === 'raw' ? 'raw' : `fio ${engine}`}, ${size} × ${depth}, ${files} file${files === 1 ? '' : 's'}`;
}
