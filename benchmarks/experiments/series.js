// @ts-check
// From small to large states, and from few to many tensors: a figure that is good in one place only is no result.
import { layoutBytes, layoutTensors, makeLayout } from '../lib/layouts.js';
import { markdownTable } from '../lib/markdown.js';
import { Ours } from '../lib/ours.js';
import { summarize } from '../lib/statistics.js';
import { formatRate, formatSize, formatSummary, formatTime, UsageError } from '../lib/units.js';
import { runLayout } from './rounds.js';

/** @param {import('../instrument.js').Context} context */
export async function run(context) {
  const { options, budget, log } = context;
  const counts = [];
  // A third of the time at most: what is left over is for the sizes.
  for (const [index, count] of options.counts.entries()) {
    counts.push(await runCount(context, count, budget.share(1 / 3 / (options.counts.length - index))));
  }
  const sizes = [];
  const ascending = options.sizes.toSorted((a, b) => a - b);
  for (const [index, size] of ascending.entries()) {
    const layout = makeLayout('standard', size);
    try {
      const result = await runLayout(context, layout, {
        peers: false,
        brief: true,
        least: 1,
        budget: budget.share(1 / (ascending.length - index)),
      });
      sizes.push({
        bytes: layoutBytes(layout),
        rounds: result.rounds,
        limit: result.limit,
        save: result.save,
        resume: result.resume,
      });
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      log(`series: ${formatSize(size)} is left out. ${error.message}`);
    }
  }
  return { sizes, counts, spread: spreadOf(sizes.map(({ save }) => save.rate.median)) };
}

/** @param {import('../instrument.js').Context} context @param {number} count @param {import('../lib/budget.js').Budget} budget */
async function runCount({ options, workspace, progress, log }, count, budget) {
  const layout = makeLayout('small', 0, count);
  workspace.needRoom(layoutBytes(layout) * 3 + 2 ** 26, `${count} tensors`);
  // Memory as a user has it: a million small tensors lie in JavaScript's own arrays, not on pages of their own.
  const ours = new Ours(workspace, {
    layout,
    memory: 'heap',
    state: options.state,
    write: options.write,
    read: options.read,
    env: options.env,
  });
  /** @type {any[]} */
  const saves = [];
  /** @type {any[]} */
  const resumes = [];
  /** @type {any} */
  let first;
  await budget.repeat({ least: 1, most: Math.min(3, options.rounds) }, async (round) => {
    progress(`${count} tensors, round ${round + 1}`);
    const save = await ours.save();
    first ??= save.first;
    saves.push(save);
    resumes.push(await ours.restore('resume'));
  });
  await ours.end();
  const result = {
    tensors: layoutTensors(layout),
    bytes: layoutBytes(layout),
    firstSave: { seconds: first.seconds, beginMs: first.beginMs, gapMs: first.gapMs },
    save: summarize(saves.map(({ seconds }) => seconds)),
    planMs: summarize(saves.map(({ beginMs }) => beginMs)),
    saveGapMs: Math.max(...saves.map(({ gapMs }) => gapMs)),
    resume: summarize(resumes.map(({ seconds }) => seconds)),
    resumeGapMs: Math.max(...resumes.map(({ gapMs }) => gapMs)),
    extraBytes: Math.max(...saves.map(({ extraBytes }) => extraBytes)),
  };
  log(`${count} tensors: save ${formatTime(result.save.median)}, resume ${formatTime(result.resume.median)}`);
  return result;
}

/** How far the slowest is behind the fastest. @param {readonly number[]} rates */
function spreadOf(rates) {
  return rates.length > 1 ? 1 - Math.min(...rates) / Math.max(...rates) : 0;
}

/** @param {Awaited<ReturnType<typeof run>>} result */
export function describe({ sizes, counts, spread }) {
  const ratio = (/** @type {import('./throughput.js').Summary} */ value) => value.median.toFixed(2);
  const sizeTable = markdownTable(
    ['state', "the disk's limit", 'durable save', 'of the limit', 'cold resume', 'of the limit', 'rounds'],
    sizes.map(({ bytes, rounds, limit, save, resume }) => [
      formatSize(bytes),
      `${formatRate(limit.write.median)} and ${formatRate(limit.read.median)}`,
      formatSummary(save.rate, formatRate),
      ratio(save.ofLimit),
      formatSummary(resume.rate, formatRate),
      ratio(resume.ofLimit),
      String(rounds),
    ]),
  );
  const countTable = markdownTable(
    [
      'tensors of 1 KiB',
      'first save',
      'next saves',
      'planning before the first wait',
      'longest gap',
      'resume',
      'longest gap',
    ],
    counts.map(({ tensors, firstSave, save, planMs, saveGapMs, resume, resumeGapMs }) => [
      tensors.toLocaleString('en'),
      formatTime(firstSave.seconds),
      formatTime(save.median),
      `${planMs.median.toFixed(1)} ms`,
      `${saveGapMs.toFixed(1)} ms`,
      formatTime(resume.median),
      `${resumeGapMs.toFixed(1)} ms`,
    ]),
  );
  return [
    ...(sizes.length > 0 ? [sizeTable] : []),
    ...(sizes.length > 1 ? [`Saving, the slowest size is ${(spread * 100).toFixed(1)} % behind the fastest.`] : []),
    ...(counts.length > 0 ? [countTable] : []),
  ].join('\n\n');
}
