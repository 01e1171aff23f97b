// @ts-check
// The training tax: what back-to-back saves take from a loop that keeps every core busy. The cores are taken, so a save
// can only cost: the question is whether it costs more than the CPU time that it uses itself.
import { fileURLToPath } from 'node:url';
import { layoutBytes, makeLayout } from '../lib/layouts.js';
import { availableMemory } from '../lib/machine.js';
import { markdownTable } from '../lib/markdown.js';
import { answerIn } from '../lib/reply.js';
import { median, quantile, summarize } from '../lib/statistics.js';
import { formatRate, formatSize, formatSummary, UsageError } from '../lib/units.js';

const trainer = fileURLToPath(new URL('../children/trainer.js', import.meta.url));

/** @typedef {{ saving: boolean, saves: number, seconds: number, steps: number[], ownCpuSeconds: number }} Phase */

/** @param {import('../instrument.js').Context} context */
export async function run({ options, workspace, machine, budget, progress }) {
  const layout = makeLayout('standard', options.size);
  const bytes = layoutBytes(layout);
  if (availableMemory() < bytes * 1.2)
    throw new UsageError(`A state of ${formatSize(bytes)} doesn't fit into the memory that is free.`);
  workspace.needRoom(bytes * 2.2, 'The training tax');
  const order = {
    layout,
    memory: options.memory,
    state: options.state,
    write: options.write,
    directory: workspace.path('tax'),
    threads: machine.cores,
    seconds: options.seconds,
    phases: phasesIn(budget.left - startSeconds(bytes), options),
  };
  progress(`training tax: ${order.phases} stretches of ${order.seconds} s`);
  const { stdout } = await workspace.run(process.execPath, ['--expose-gc', trainer, JSON.stringify(order)], {
    env: options.env,
  });
  workspace.remove('tax');
  return taxOf(answerIn(stdout).phases, { cores: machine.cores, bytes });
}

/**
 * Stretches of quiet, saving, saving, quiet: as many as two in each round, and as fit.
 * @param {number} seconds @param {{ seconds: number, rounds: number }} options
 */
export function phasesIn(seconds, options) {
  const fitting = Math.floor(seconds / (4 * options.seconds));
  return 4 * Math.max(1, Math.min(fitting, Math.round(options.rounds / 2)));
}

/** Making the state, its first save and warming up. @param {number} bytes */
function startSeconds(bytes) {
  return 5 + bytes / 5e8;
}

/**
 * @param {readonly Phase[]} phases quiet and saving ones in the order quiet, saving, saving, quiet, …
 * @param {{ cores: number, bytes: number }} state
 */
export function taxOf(phases, { cores, bytes }) {
  const quiet = phases.filter(({ saving }) => !saving);
  const busy = phases.filter(({ saving }) => saving);
  if (quiet.length !== busy.length || quiet.length === 0)
    throw new RangeError('As many quiet as saving stretches are needed.');
  const rate = (/** @type {Phase} */ { steps, seconds }) => steps.length / seconds;
  // The quiet stretch next to a saving one is its pair.
  const loss = summarize(busy.map((phase, index) => 1 - rate(phase) / rate(/** @type {Phase} */ (quiet[index]))));
  const share = summarize(busy.map(({ ownCpuSeconds, seconds }) => ownCpuSeconds / (seconds * cores)));
  const p99 = (/** @type {readonly Phase[]} */ some) => median(some.map(({ steps }) => quantile(steps, 0.99)));
  const saved = busy.reduce((sum, { saves }) => sum + saves * bytes, 0);
  const cpu = busy.reduce((sum, { ownCpuSeconds }) => sum + ownCpuSeconds, 0);
  return {
    cores,
    bytes,
    stretches: phases.length,
    saves: busy.reduce((sum, { saves }) => sum + saves, 0),
    saveRate: saved / busy.reduce((sum, { seconds }) => sum + seconds, 0),
    cpuSecondsPerGB: cpu / (saved / 1e9),
    loss,
    share,
    lossPerShare: loss.median / share.median,
    stepMs: { quiet: median(quiet.flatMap(({ steps }) => steps)), saving: median(busy.flatMap(({ steps }) => steps)) },
    p99Ms: { quiet: p99(quiet), saving: p99(busy) },
    p99Ratio: p99(busy) / p99(quiet),
  };
}

/** @param {Awaited<ReturnType<typeof run>>} tax */
export function describe(tax) {
  const percent = (/** @type {number} */ value) => `${(value * 100).toFixed(1)} %`;
  const { stepMs, p99Ms } = tax;
  return markdownTable(
    [
      `${tax.saves} saves of ${formatSize(tax.bytes)} back to back beside ${tax.cores} training threads, ${tax.stretches} stretches`,
      '',
    ],
    [
      ['steps that the loop loses', formatSummary(tax.loss, percent)],
      [
        'of the cores, what the saves use themselves',
        `${formatSummary(tax.share, percent)}: ${tax.cpuSecondsPerGB.toFixed(3)} CPU seconds per GB, at ${formatRate(tax.saveRate)}`,
      ],
      ['lost for each that they use', tax.lossPerShare.toFixed(2)],
      ['a step, undisturbed and beside saves', `${stepMs.quiet.toFixed(2)} and ${stepMs.saving.toFixed(2)} ms`],
      [
        '99 % of the steps within',
        `${p99Ms.quiet.toFixed(2)} and ${p99Ms.saving.toFixed(2)} ms: ${tax.p99Ratio.toFixed(2)} times`,
      ],
    ],
  );
}
