// @ts-check
// Durable save and cold, verified resume: the disk's limit, ours and the peers in turns on one disk.
import { makeLayout } from '../lib/layouts.js';
import { markdownTable } from '../lib/markdown.js';
import { formatRate, formatSize, formatSummary, formatTime } from '../lib/units.js';
import { LEAST_ROUNDS } from '../options.js';
import { runLayout } from './rounds.js';

/** @param {import('../instrument.js').Context} context */
export async function run(context) {
  const { options, budget } = context;
  const results = [];
  for (const [index, name] of options.layouts.entries()) {
    results.push(
      await runLayout(context, makeLayout(name, options.size, options.tensors), {
        peers: true,
        brief: false,
        least: LEAST_ROUNDS,
        budget: budget.share(1 / (options.layouts.length - index)),
      }),
    );
  }
  return results;
}

/** @param {Awaited<ReturnType<typeof run>>} results */
export function describe(results) {
  return results.map(describeLayout).join('\n\n');
}

/** @typedef {ReturnType<typeof import('../lib/statistics.js').summarize>} Summary */

const rate = (/** @type {Summary} */ value) => formatSummary(value, formatRate);
const ratio = (/** @type {Summary | null} */ value) => (value ? formatSummary(value, (one) => one.toFixed(2)) : '');

/** @param {Awaited<ReturnType<typeof runLayout>>} result */
function describeLayout(result) {
  const { layout, durable, rounds, save, resume, peers } = result;
  return [
    `${layout.name}: ${formatSize(layout.bytes)} in ${layout.tensors} tensors (${layout.about}), ${durable ? 'durable' : 'NOT durable (no fsync)'}; medians of ${rounds} rounds, in brackets the interval of the median (${(save.rate.confidence * 100).toFixed(1)} %)${resume.cold ? '' : '; the page cache may have been WARM'}`,
    limitTable(result),
    ...(peers.length > 0 ? [peerTable(result)] : []),
    notes(result),
  ].join('\n\n');
}

/** @param {Awaited<ReturnType<typeof runLayout>>} result */
function limitTable({ durable, limit, fewBuffers, save, resume, restore }) {
  const rows = [["the disk's limit", rate(limit.write), '', '', rate(limit.read), '', '']];
  if (fewBuffers) rows.push(['a few buffers over and over', rate(fewBuffers.write), '', '', rate(fewBuffers.read)]);
  const own = (/** @type {typeof save | typeof resume | NonNullable<typeof restore>} */ one) => [
    rate(one.rate),
    ratio(one.ofLimit),
    ratio(one.ofFewBuffers),
  ];
  rows.push(['tensor-checkpoint, fresh memory', ...own(save), ...own(resume)]);
  if (restore) rows.push(['… into memory that exists', '', '', '', ...own(restore)]);
  const against = ['of the limit', 'of few buffers'];
  return markdownTable(['', durable ? 'durable save' : 'save', ...against, 'cold load', ...against], rows);
}

/** @param {Awaited<ReturnType<typeof runLayout>>} result */
function peerTable({ durable, peers }) {
  return markdownTable(
    [
      '',
      durable ? 'durable save' : 'save',
      'ours is faster by',
      'cold load',
      'into memory that',
      'ours is faster by',
      'rounds',
    ],
    peers.map((peer) => [
      `${peer.name} ${peer.commands.version}`,
      rate(peer.save),
      ratio(peer.oursIsFaster.save),
      rate(peer.load),
      peer.loadsInto === 'fresh' ? 'is fresh' : 'exists',
      ratio(peer.oursIsFaster.load),
      String(peer.save.count),
    ]),
  );
}

/** @param {Awaited<ReturnType<typeof runLayout>>} result */
function notes({ save, resume, restore, limit, fewBuffers, firstTouch, boundBy, interval, peers, durable }) {
  const percent = (/** @type {number} */ value) => `${(value * 100).toFixed(1)} %`;
  const gap = (/** @type {typeof save | typeof resume} */ one) =>
    `${one.gapMs.median.toFixed(1)} ms (the longest of all rounds ${one.longestGapMs.toFixed(1)}, 99 % of the gaps below ${one.gapQuantilesMs[0.99]?.toFixed(1)})`;
  const cpu = (/** @type {typeof save | typeof resume} */ one) =>
    `${one.cpuSecondsPerGB.median.toFixed(3)} (${one.threadCpuSecondsPerGB.median.toFixed(3)})`;
  const both = (/** @type {{ write: string, read: string }} */ { write, read }) => `writes ${write}; reads ${read}`;
  return [
    `CPU seconds per GB: save ${cpu(save)}, resume ${cpu(resume)}; in brackets the JavaScript thread's, with the timer that watches it`,
    `longest gap of the event loop, median of the rounds: save ${gap(save)}, resume ${gap(resume)}${restore ? `, restore into memory that exists ${gap(restore)}` : ''}`,
    ...(save.stolenMs + resume.stolenMs > 0
      ? [
          `the host took the processors away for ${formatTime(save.stolenMs / 1000)} of all saves and ${formatTime(resume.stolenMs / 1000)} of all resumes`,
        ]
      : []),
    `memory beside the tensors: save ${formatSize(save.extraBytes)}, ${restore ? `restore ${formatSize(restore.extraBytes)}` : `resume ${formatSize(resume.extraBytes)}`}`,
    `bytes copied: save ${percent(save.copiedPerByte)}, resume ${percent(resume.copiedPerByte)}`,
    `what limits a save: ${boundBy.save.resource} (${boundBy.save.because}); a resume: ${boundBy.resume.resource} (${boundBy.resume.because})`,
    ...(firstTouch ? [`one thread touches fresh memory at ${formatRate(firstTouch.median)}`] : []),
    `save every ${formatTime(interval.awaited.seconds)} where training waits for it (${(interval.awaited.lostFraction * 100).toFixed(2)} % of the time lost), every ${formatTime(interval.background.seconds)} where it goes on (${(interval.background.lostFraction * 100).toFixed(3)} %), at one failure in ${formatTime(interval.mtbf)}`,
    `the limit: ${both(limit.settings)}`,
    ...(fewBuffers ? [`a few buffers: ${both(fewBuffers.settings)}`] : []),
    ...[limit.commands.write, limit.commands.read].map((command) => `\`${command}\``),
    ...peers.map(
      ({ name, commands }) =>
        `${name}: save ${commands.save}; load ${commands.load}; ${durable ? 'all its files fsynced' : 'no fsync'}`,
    ),
  ]
    .map((note) => `- ${note}`)
    .join('\n');
}
