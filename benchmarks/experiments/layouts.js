// @ts-check
// The same as throughput for other shapes of state: a figure that is good for one layout only is no result.
import { layoutNames, makeLayout } from '../lib/layouts.js';
import { markdownTable } from '../lib/markdown.js';
import { formatRate, formatSize, formatSummary } from '../lib/units.js';
import { LEAST_ROUNDS } from '../options.js';
import { runLayout } from './rounds.js';

/** @param {import('../instrument.js').Context} context */
export async function run(context) {
  const { options, budget } = context;
  const names = layoutNames.filter((name) => name !== 'standard' && !(options.state === 'tfjs' && name === 'llama8b'));
  const results = [];
  for (const [index, name] of names.entries()) {
    results.push(
      await runLayout(context, makeLayout(name, options.size, options.tensors), {
        peers: false,
        brief: true,
        least: LEAST_ROUNDS,
        budget: budget.share(1 / (names.length - index)),
      }),
    );
  }
  return results;
}

/** @param {Awaited<ReturnType<typeof run>>} results */
export function describe(results) {
  return markdownTable(
    ['', 'state', 'durable save', 'of the limit', 'cold resume', 'of the limit', 'longest gaps', 'rounds'],
    results.map(({ layout, rounds, save, resume }) => [
      layout.name,
      `${formatSize(layout.bytes)}, ${layout.about}`,
      formatSummary(save.rate, formatRate),
      formatSummary(save.ofLimit, (one) => one.toFixed(2)),
      formatSummary(resume.rate, formatRate),
      formatSummary(resume.ofLimit, (one) => one.toFixed(2)),
      `${save.longestGapMs.toFixed(1)} and ${resume.longestGapMs.toFixed(1)} ms`,
      String(rounds),
    ]),
  );
}
