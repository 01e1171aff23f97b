// @ts-check
// What a search found on this machine, kept from run to run in a file of the user's cache directory.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export class Remembered {
  #file;
  #fresh;

  /** @param {{ again?: boolean, directory?: string }} [options] `again`: as if nothing were known */
  constructor({ again = false, directory = cacheDirectory() } = {}) {
    this.#file = path.join(directory, 'benchmark.json');
    this.#fresh = again;
  }

  /**
   * What was found for the same circumstances, or what `search` finds now.
   * @template T
   * @param {object} circumstances whatever changes the answer
   * @param {() => Promise<T>} search
   * @returns {Promise<{ value: T, date: string }>}
   */
  async find(circumstances, search) {
    const key = JSON.stringify(circumstances);
    const known = this.#fresh ? undefined : this.#read()[key];
    if (known) return known;
    const found = { value: await search(), date: new Date().toISOString() };
    this.#write({ ...this.#read(), [key]: found });
    return found;
  }

  /** @returns {Record<string, any>} */
  #read() {
    try {
      return JSON.parse(readFileSync(this.#file, 'utf8'));
    } catch {
      return {}; // Missing or damaged: it is searched for again.
    }
  }

  /** @param {object} all */
  #write(all) {
    try {
      mkdirSync(path.dirname(this.#file), { recursive: true });
      const next = `${this.#file}.${process.pid}`;
      writeFileSync(next, JSON.stringify(all));
      renameSync(next, this.#file);
    } catch {
      // A home that can't be written to only means another search next time.
    }
  }
}

function cacheDirectory() {
  const base = process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache');
  return path.join(base, 'tensor-checkpoint');
}
