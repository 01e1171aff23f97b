// @ts-check
// From small to large states, and from few to many tensors: a figure that is good in one place only is no result.
import { layoutBytes, layoutTensors, makeLayout } from '../lib/layouts.js';
import { Ours } from '../lib/ours.js';
import { summarize } from '../lib/statistics.js';
import { formatRate, formatSize, formatSummary, formatTime, UsageError } from '../lib/units.js';
import { runLayout } from './throughput.js';

/** @param {import('../instrument.js').Context} context */
export async function run(context) {
  const { options, log } = context;
  const sizes = [];
  for (const size of options.sizes) {
    const layout = makeLayout('standard', size);
    try {
      const result = await runLayout(context, layout, { peers: false, rounds: options.rounds });
      sizes.push({
        bytes: layoutBytes(layout),
        limit: result.limit,
        save: result.save,
        resume: result.resume,
        restore: result.restore,
      });
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      log(`series: ${formatSize(size)} is left out. ${error.message}`);
    }
  }
  const counts = [];
  for (const count of options.counts) counts.push(await runCount(context, count));
  return { sizes, counts, spread: spreadOf(sizes.map(({ save }) => save.rate.median)) };
}

/** @param {import('../instrument.js').Context} context @param {number} count */
async function runCount({ options, workspace, progress, log }, count) {
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
  const saves = [];
  const resumes = [];
  let first;
  for (let round = 0; round < Math.min(3, options.rounds); round++) {
    progress(`${count} tensors, round ${round + 1}`);
    const save = await ours.save();
    first ??= save.first;
    saves.push(save);
    resumes.push(await ours.restore('resume'));
  }
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
  return [
    'series of sizes (durable save / cold resume / of the limit)',
    ...sizes.map(
      ({ bytes, save, resume }) =>
        `  ${formatSize(bytes).padEnd(10)} ${formatSummary(save.rate, formatRate)} / ${formatSummary(resume.rate, formatRate)} / ${save.ofLimit.median.toFixed(2)} and ${resume.ofLimit.median.toFixed(2)}`,
    ),
    ...(sizes.length > 1 ? [`  saving, the slowest size is ${(spread * 100).toFixed(1)} % behind the fastest`] : []),
    'series of counts, 1 KiB each (first save of a process; next saves, of them planning before the first wait, longest gap; resume, longest gap)',
    ...counts.map(
      ({ tensors, firstSave, save, planMs, saveGapMs, resume, resumeGapMs }) =>
        `  ${String(tensors).padEnd(8)} ${formatTime(firstSave.seconds)}; ${formatTime(save.median)}, ${planMs.median.toFixed(1)} ms, ${saveGapMs.toFixed(1)} ms; ${formatTime(resume.median)}, ${resumeGapMs.toFixed(1)} ms`,
    ),
  ].join('\n');
}
