// @ts-check
// The peers that people use today, as contestants: whichever a Python environment here has.
import { existsSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { dropCache } from '../lib/cache.js';
import { layoutBytes } from '../lib/layouts.js';
import { memoryUser } from '../lib/memory-at-hand.js';
import { answerIn } from '../lib/reply.js';
import { UsageError } from '../lib/units.js';

const script = fileURLToPath(new URL('peers.py', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));

export const peerNames = /** @type {const} */ (['tensorflow', 'torch', 'dcp', 'safetensors', 'orbax']);

/** Longer than the slowest of them takes for 16 GiB on a slow disk; one that hangs must not hang everything. */
const PEER_TIMEOUT_SECONDS = 1800;

/** @typedef {{ name: string, python: string, version: string, variants: Record<string, string>, loadsInto: 'fresh' | 'existing' }} PeerInfo
 * `loadsInto`: memory of its own, or that of variables which exist before */

/** Where Python environments are looked for. @param {string | undefined} given */
export function pythonCandidates(given) {
  if (given) return [given];
  return [`${root}.venv-peers/bin/python`, `${root}.venv-oracle/bin/python`].filter(existsSync).concat('python3');
}

/**
 * @param {import('../lib/workspace.js').Workspace} workspace
 * @param {readonly string[] | 'auto' | 'none'} wanted
 * @param {string | undefined} python
 * @returns {Promise<{ found: PeerInfo[], missing: string[] }>}
 */
export async function findPeers(workspace, wanted, python) {
  if (wanted === 'none') return { found: [], missing: [] };
  /** @type {Map<string, PeerInfo>} */
  const found = new Map();
  for (const candidate of pythonCandidates(python)) {
    try {
      const { stdout } = await workspace.run(candidate, [script, 'list'], { timeout: 120 });
      for (const [name, info] of Object.entries(answerIn(stdout))) {
        if (!found.has(name)) found.set(name, { name, python: candidate, ...info });
      }
    } catch (cause) {
      // An environment without numpy has none of them; one that was named must work.
      if (python)
        throw new UsageError(`--python ${python} can't run the peers: ${/** @type {Error} */ (cause).message}`);
    }
  }
  const names = wanted === 'auto' ? peerNames : wanted;
  const missing = names.filter((name) => !found.has(name));
  if (wanted !== 'auto' && missing.length > 0) {
    throw new UsageError(
      `No Python environment here has ${missing.join(', ')}. Install them with: npm run bench:peers`,
    );
  }
  return { found: names.flatMap((name) => found.get(name) ?? []), missing };
}

export class Peer {
  #workspace;
  #layout;
  #durable;
  #directory;
  /** What was found to be best on this machine; the first before it was looked for. */
  #best;

  /**
   * @param {import('../lib/workspace.js').Workspace} workspace
   * @param {PeerInfo} info
   * @param {import('../lib/layouts.js').Layout} layout
   * @param {boolean} durable
   */
  constructor(workspace, info, layout, durable) {
    this.#workspace = workspace;
    this.#layout = layout;
    this.#durable = durable;
    this.#directory = workspace.path(`peer-${info.name}`);
    const first = /** @type {string} */ (Object.keys(info.variants)[0]);
    this.#best = { save: first, load: first };
    this.info = info;
    this.name = info.name;
  }

  /** The settings in use, as the command that a user would write. */
  get commands() {
    const { variants, version } = this.info;
    return {
      version,
      save: `${this.#best.save}: ${variants[this.#best.save]}`,
      load: `${this.#best.load}: ${variants[this.#best.load]}`,
    };
  }

  /**
   * Tries every variant once and says which is best for saving and which for loading.
   * @param {import('../lib/layouts.js').Layout} layout a smaller one does
   * @param {(text: string) => void} progress
   */
  async choose(layout, progress) {
    const variants = Object.keys(this.info.variants);
    if (variants.length < 2) return this.#best;
    progress(`looking for the best settings of ${this.name}: ${variants.join(', ')}`);
    const order = { ...orderFor(layout), saves: 2, durable: this.#durable };
    /** @type {Record<string, { save: number, load: number, error?: string }>} */
    const tried = await this.#run('-', 'choose', order);
    this.end();
    const working = Object.entries(tried).filter(([, { error }]) => !error);
    if (working.length === 0) throw new Error(Object.values(tried)[0]?.error);
    const fastest = (/** @type {'save' | 'load'} */ what) =>
      /** @type {string} */ (working.sort(([, a], [, b]) => a[what] - b[what])[0]?.[0]);
    const [save, load] = [fastest('save'), fastest('load')];
    // Where the variant that saves best loads nearly as fast, its own files are loaded.
    const same = (tried[save]?.load ?? 0) <= 1.05 * (tried[load]?.load ?? 0);
    return { save, load: same ? save : load };
  }

  /** @param {{ save: string, load: string }} best what choose() found */
  use(best) {
    this.#best = best;
  }

  async save() {
    return this.#save(this.#best.save);
  }

  /** A cold load. Where another variant's files load faster, those are written first, outside the measurement. */
  async load() {
    if (this.#best.load !== this.#best.save) await this.#save(this.#best.load, 1);
    return this.#load(this.#best.load);
  }

  end() {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** @param {string} variant @param {number} [saves] */
  async #save(variant, saves = 2) {
    return this.#run(variant, 'save', { saves, durable: this.#durable });
  }

  /** @param {string} variant */
  async #load(variant) {
    const dropped = dropCache(this.#directory);
    return { ...(await this.#run(variant, 'load', {})), dropped };
  }

  /** @param {string} variant @param {'save' | 'load' | 'choose'} what @param {object} more @returns {Promise<any>} */
  async #run(variant, what, more) {
    const order = { directory: this.#directory, ...orderFor(this.#layout), ...more };
    const { stdout } = await this.#workspace.run(
      this.info.python,
      [script, this.name, variant, what, JSON.stringify(order)],
      { timeout: PEER_TIMEOUT_SECONDS },
    );
    return answerIn(stdout);
  }
}

/** The state, and what to run before a clock starts. @param {import('../lib/layouts.js').Layout} layout */
function orderFor(layout) {
  return { groups: layout.groups, memoryUser: memoryUser(layoutBytes(layout)) };
}
