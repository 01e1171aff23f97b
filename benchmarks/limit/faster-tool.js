// @ts-check
// Of fio and the raw program, the one that was faster over all rounds is the limit. (The faster one in each round would
// be a figure that neither reaches: on a disk whose speed drifts, the luckier of two draws.)
import { quantile } from '../lib/statistics.js';

/** @typedef {import('./limit.js').Figure} Figure */

/**
 * The figures of one direction by the tool with the higher median, a figure for each round.
 * @param {readonly (readonly Figure[])[]} rounds each with a figure for each setting that moves memory as large as the state
 * @returns {Figure[]}
 */
export function fasterTool(rounds) {
  const tools = [true, false].map((raw) =>
    rounds.flatMap((figures) => figures.filter(({ setting }) => (setting.engine === 'raw') === raw).slice(0, 1)),
  );
  const median = (/** @type {Figure[]} */ figures) =>
    quantile(
      figures.map(({ bytesPerSecond }) => bytesPerSecond),
      0.5,
    );
  // A tool that was not there in every round can't be paired with ours.
  const [first, second] = tools.filter((figures) => figures.length === rounds.length);
  if (!first) throw new Error('No tool measured the limit in every round.');
  return second && median(second) > median(first) ? second : first;
}
