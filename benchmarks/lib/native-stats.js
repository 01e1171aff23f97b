// @ts-check
// What the engine counted in a save or a load, which the public API doesn't tell: its programs are listened to on their
// way into the addon.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** @typedef {import('../../dist/native/contract.js').SaveStats} SaveStats */
/** @typedef {import('../../dist/native/contract.js').LoadStats} LoadStats */

/**
 * Starts listening. The lists grow with every program that finishes in this process.
 * @returns {{ saves: SaveStats[], loads: LoadStats[], committedAt: number[] }} `committedAt`: when JavaScript heard that a
 *   save was committed, as performance.now() tells it; save() itself goes on to delete what retention gives up
 */
export function collectStats() {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const addon = createRequire(import.meta.url)('node-gyp-build')(root); // the same object that the package itself uses
  /** @type {{ saves: SaveStats[], loads: LoadStats[], committedAt: number[] }} */
  const stats = { saves: [], loads: [], committedAt: [] };
  const listen = (/** @type {'startSave' | 'startLoad'} */ name, /** @type {object[]} */ list) => {
    const start = addon[name];
    addon[name] = (
      /** @type {unknown} */ program,
      /** @type {(event: { type: string, stats: object }) => void} */ onEvent,
    ) =>
      start.call(addon, program, (/** @type {{ type: string, stats: object }} */ event) => {
        if (event.type === 'finished') list.push(event.stats);
        if (event.type === 'committed') stats.committedAt.push(performance.now());
        onEvent(event);
      });
  };
  listen('startSave', stats.saves);
  listen('startLoad', stats.loads);
  return stats;
}
