// @ts-check
// The settings at which a disk is fastest: block size, requests under way and number of files, one after the other, each
// with the best of the ones before, until nothing gets better.

/** @typedef {import('./setting.js').Setting} Setting */
/** @typedef {{ setting: Setting, bytesPerSecond: number }} Tried */
/** @typedef {{ write: Tried[], read: Tried[] }} Found the best first */

const MiB = 2 ** 20;
const axes = { block: [MiB / 4, MiB, 4 * MiB, 16 * MiB], depth: [1, 2, 4, 8, 16, 32], files: [1, 4] };
/** fio moves all blocks at once where each has its own place: there is no depth to look for. */
const axesAllAtOnce = { block: [MiB, 4 * MiB, 16 * MiB], files: [1, 4] };

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
 * Races whose winners are measured again and again later: fio and the raw program, each moving a whole state's memory;
 * and a few small buffers, which nobody who restores can have, with fio where there is one.
 * @param {readonly string[]} engines of fio, and "raw"
 * @param {number} bytes moved by each try
 * @param {(setting: Setting) => Promise<number>} measure bytes per second
 */
export async function searchSettings(engines, bytes, measure) {
  const fio = engines.filter((engine) => engine !== 'raw');
  const raw = engines.filter((engine) => engine === 'raw');
  const race = async (/** @type {Setting['memory']} */ memory, /** @type {readonly string[]} */ racers) => {
    const [first] = racers;
    if (!first) return [];
    const allAtOnce = memory === 'state' && first !== 'raw';
    const choices = { ...(allAtOnce ? axesAllAtOnce : axes), engine: racers };
    const start = { engine: first, block: Math.min(4 * MiB, bytes), depth: 4, files: 1, memory };
    return coordinateSearch(
      choices,
      start,
      measure,
      ({ block, depth, files }) => files <= depth && block * depth <= 128 * MiB && block * files <= bytes,
    );
  };
  const state = [...(await race('state', fio)), ...(await race('state', raw))];
  const few = await race('few', fio.length > 0 ? fio : raw);
  return { state: state.sort((a, b) => b.bytesPerSecond - a.bytesPerSecond), few };
}
