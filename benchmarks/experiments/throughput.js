// @ts-check
// Durable save and cold, verified resume: the disk's limit, ours and the peers in turns on one disk.

import { layoutBytes, layoutTensors, makeLayout } from '../lib/layouts.js';
import { availableMemory } from '../lib/machine.js';
import { Ours } from '../lib/ours.js';
import { limitingResource } from '../lib/resource.js';
import { histogram, orderOf, pairedRatios, quantile, summarize } from '../lib/statistics.js';
import { formatRate, formatSize, formatSummary, formatTime, UsageError } from '../lib/units.js';
import { checkpointInterval, lostFraction } from '../lib/young-daly.js';
import { describeSetting } from '../limit/search.js';
import { Peer } from '../peers/peers.js';

/** @typedef {import('../instrument.js').Context} Context */
/** @typedef {import('../lib/layouts.js').Layout} Layout */

/** @param {Context} context */
export async function run(context) {
  const results = [];
  for (const name of context.options.layouts) {
    const layout = makeLayout(name, context.options.size, context.options.tensors);
    results.push(
      await runLayout(context, layout, {
        peers: true,
        rounds: context.options.rounds,
      }),
    );
  }
  return results;
}

/**
 * @param {Context} context
 * @param {Layout} layout
 * @param {{ peers: boolean, rounds: number }} how
 */
export async function runLayout(context, layout, how) {
  const { options, workspace, progress, log } = context;
  const bytes = layoutBytes(layout);
  if (availableMemory() < bytes * 1.15) {
    throw new UsageError(
      `A state of ${formatSize(bytes)} doesn't fit into the memory that is free (${formatSize(availableMemory())}).`,
    );
  }
  workspace.needRoom(bytes * 3.2, `A state of ${formatSize(bytes)}, beside the limit's files,`);
  // The state rests beside a restore only where both have room.
  const together = availableMemory() > bytes * 2.5;
  const limit = await context.limit();
  const ours = new Ours(workspace, {
    layout,
    memory: options.memory,
    state: options.state,
    write: options.write,
    read: options.read,
    env: options.env,
  });
  let peers = how.peers ? await choosePeers(context, layout) : [];

  /** @type {Record<string, { write: number[], read: number[] }>} */
  const rates = Object.fromEntries(
    ['limit', 'ours', ...peers.map(({ name }) => name)].map((name) => [name, { write: [], read: [] }]),
  );
  const rounds = /** @type {any[]} */ ([]);

  const measure = {
    limit: async () => {
      const write = await limit.measure('write', bytes);
      const read = await limit.measure('read', bytes);
      rates.limit?.write.push(write.bytesPerSecond);
      rates.limit?.read.push(read.bytesPerSecond);
      return { write, read };
    },
    ours: async () => {
      const save = await ours.save();
      if (!together) await ours.rest();
      const resume = await ours.restore('resume');
      const restore = await ours.restore('restore');
      rates.ours?.write.push(bytes / save.seconds);
      rates.ours?.read.push(bytes / resume.seconds);
      return { save, resume, restore };
    },
    peer: async (/** @type {Peer} */ peer) => {
      const save = await peer.save();
      const load = await peer.load();
      peer.end();
      rates[peer.name]?.write.push(bytes / save.seconds);
      rates[peer.name]?.read.push(bytes / load.seconds);
      return { save, load };
    },
  };

  for (let round = 0; round < how.rounds; round++) {
    const contestants = ['limit', 'ours', ...(round < options.peerRounds ? peers : [])];
    const figures = /** @type {any} */ ({ peers: {} });
    for (const contestant of orderOf(contestants, round)) {
      const name = typeof contestant === 'string' ? contestant : contestant.name;
      progress(`${layout.name}, round ${round + 1} of ${how.rounds}: ${name}`);
      if (contestant === 'limit') figures.limit = await measure.limit();
      else if (contestant === 'ours') figures.ours = await measure.ours();
      else if (contestant instanceof Peer) {
        if (!together) await ours.rest();
        try {
          figures.peers[name] = await measure.peer(contestant);
        } catch (error) {
          // Half a comparison is none; the others go on.
          peers = peers.filter((peer) => peer !== contestant);
          dropPeer(context, contestant, error);
        }
      }
    }
    rounds.push(figures);
    const { save, resume, restore } = figures.ours;
    log(
      `${layout.name} ${round + 1}/${how.rounds}: limit ${formatRate(figures.limit.write.bytesPerSecond)} / ${formatRate(figures.limit.read.bytesPerSecond)}, ` +
        `save ${formatRate(bytes / save.seconds)}, resume ${formatRate(bytes / resume.seconds)}, ` +
        `restore into memory that exists ${formatRate(bytes / restore.seconds)}${resume.dropped === 'not' ? ' (cache NOT dropped)' : ''}`,
    );
  }
  await ours.end();
  return summarizeRounds(context, layout, rates, rounds, peers);
}

/** @param {Context} context @param {Layout} layout */
async function choosePeers(context, layout) {
  const { options, workspace, progress, peers } = context;
  const chosen = [];
  for (const info of await peers()) {
    const peer = new Peer(workspace, info, layout, options.durable);
    try {
      await peer.choose(progress);
      chosen.push(peer);
    } catch (error) {
      dropPeer(context, peer, error);
    }
  }
  return chosen;
}

/** @param {Context} context @param {Peer} peer @param {unknown} error */
function dropPeer({ log }, peer, error) {
  peer.end();
  log(`${peer.name} takes no further part: ${error instanceof Error ? error.message : String(error)}`);
}

/**
 * @param {Context} context
 * @param {Layout} layout
 * @param {Record<string, { write: number[], read: number[] }>} rates
 * @param {any[]} rounds
 * @param {Peer[]} peers
 */
function summarizeRounds({ options, machine }, layout, rates, rounds, peers) {
  const bytes = layoutBytes(layout);
  const own = rounds.map((round) => round.ours);
  const { limit = { write: [], read: [] }, ours = { write: [], read: [] } } = rates;
  const restored = own.map(({ restore }) => bytes / restore.seconds);
  const pick = (/** @type {'save' | 'resume' | 'restore'} */ what) => {
    const seconds = own.map((one) => one[what].seconds);
    const cpu = own.map((one) => one[what].cpuSeconds / (bytes / 1e9));
    const stalls = own.flatMap((one) => /** @type {number[]} */ (one[what].stallsMs));
    return {
      rate: summarize(seconds.map((value) => bytes / value)),
      seconds: summarize(seconds),
      cpuSecondsPerGB: summarize(cpu),
      longestGapMs: Math.max(...own.map((one) => one[what].gapMs)),
      gapQuantilesMs: Object.fromEntries([0.5, 0.99, 0.999].map((q) => [q, quantile(stalls, q)])),
      stalls: histogram(stalls, 0.5, 9),
      extraBytes: Math.max(...own.map((one) => one[what].extraBytes)),
      copiedPerByte: Math.max(...own.map((one) => (one[what].stats?.bytesCopied ?? 0) / bytes)),
    };
  };
  const save = pick('save');
  const resume = pick('resume');
  const restore = pick('restore');
  const saveLimit = summarize(limit.write);
  const readLimit = summarize(limit.read);
  const firstTouch = summarize(own.map(({ restore: one }) => bytes / one.firstTouchSeconds));
  const stall = Math.max(1e-6, save.longestGapMs / 1000);
  const versus = peers.map((peer) => {
    const { write, read } = rates[peer.name] ?? { write: [], read: [] };
    const count = write.length;
    return {
      name: peer.name,
      commands: peer.commands,
      save: summarize(write),
      load: summarize(read),
      oursIsFaster: {
        save: summarize(pairedRatios(ours.write.slice(0, count), write)),
        load: summarize(pairedRatios(ours.read.slice(0, count), read)),
      },
    };
  });
  const last = rounds.at(-1);
  return {
    layout: { ...layout, bytes, tensors: layoutTensors(layout) },
    rounds: rounds.length,
    durable: options.durable,
    limit: {
      write: saveLimit,
      read: readLimit,
      commands: { write: last.limit.write.command, read: last.limit.read.command },
      settings: { write: describeSetting(last.limit.write.setting), read: describeSetting(last.limit.read.setting) },
    },
    save: { ...save, ofLimit: summarize(pairedRatios(ours.write, limit.write)) },
    resume: {
      ...resume,
      ofLimit: summarize(pairedRatios(ours.read, limit.read)),
      cold: own.every(({ resume: one }) => one.dropped === 'files' || one.dropped === 'everything'),
    },
    restore: { ...restore, ofLimit: summarize(pairedRatios(restored, limit.read)) },
    firstTouch,
    firstSave: own
      .map(({ save: one }) => one.first)
      .filter(Boolean)
      .map(({ seconds, gapMs }) => ({ seconds, gapMs })),
    peers: versus,
    boundBy: {
      save: limitingResource({
        rate: save.rate.median,
        limit: saveLimit.median,
        seconds: save.seconds.median,
        cpuSeconds: (save.cpuSecondsPerGB.median * bytes) / 1e9,
        cores: machine.cores,
        syncSeconds: summarize(own.map(({ save: one }) => one.stats?.syncSeconds ?? 0)).median,
      }),
      resume: limitingResource({
        rate: resume.rate.median,
        limit: readLimit.median,
        seconds: resume.seconds.median,
        cpuSeconds: (resume.cpuSecondsPerGB.median * bytes) / 1e9,
        cores: machine.cores,
        firstTouchRate: firstTouch.median,
      }),
    },
    interval: {
      mtbf: options.mtbf,
      awaited: checkpointInterval(save.seconds.median, options.mtbf, resume.seconds.median),
      background: backgroundInterval(stall, save.seconds.median, options.mtbf, resume.seconds.median),
    },
    samples: { rates, rounds: rounds.map(withoutStalls) },
  };
}

/**
 * A save that training doesn't wait for costs it only the stall; but no save can begin before the last one has ended.
 * @param {number} stall @param {number} save @param {number} mtbf @param {number} resume seconds
 */
function backgroundInterval(stall, save, mtbf, resume) {
  const wanted = checkpointInterval(stall, mtbf, resume);
  const seconds = Math.max(wanted.seconds, save);
  return { ...wanted, seconds, lostFraction: lostFraction(seconds, stall, mtbf, resume) };
}

/** The stalls are in the histogram; a million of them would bury the figures. @param {any} round */
function withoutStalls(round) {
  const { save, resume, restore } = round.ours;
  const strip = (/** @type {any} */ { stallsMs, ...rest }) => rest;
  return {
    ...round,
    ours: {
      save: { ...strip(save), first: save.first ? strip(save.first) : undefined },
      resume: strip(resume),
      restore: strip(restore),
    },
  };
}

/** @param {Awaited<ReturnType<typeof run>>} results */
export function describe(results) {
  return results.map(describeLayout).join('\n\n');
}

/** @param {Awaited<ReturnType<typeof runLayout>>} result */
function describeLayout(result) {
  const { layout, save, resume, restore, limit, peers, interval } = result;
  const ratio = (/** @type {{ median: number, low: number, high: number }} */ value) =>
    formatSummary(value, (one) => one.toFixed(2));
  const row = (/** @type {string[]} */ ...cells) =>
    `  ${cells
      .map((cell, index) => cell.padEnd(index === 0 ? 22 : 34))
      .join('')
      .trimEnd()}`;
  const lines = [
    `${layout.name}: ${formatSize(layout.bytes)} in ${layout.tensors} tensors (${layout.about}), ${result.durable ? 'durable' : 'NOT durable (no fsync)'}, median of ${result.rounds} rounds`,
    `  (in brackets the median's interval, ${(save.rate.confidence * 100).toFixed(1)} %)`,
    row('', result.durable ? 'durable save' : 'save', resume.cold ? 'cold resume' : 'resume (cache perhaps warm)'),
    row("disk's limit", formatSummary(limit.write, formatRate), formatSummary(limit.read, formatRate)),
    row('tensor-checkpoint', formatSummary(save.rate, formatRate), formatSummary(resume.rate, formatRate)),
    row('  of the limit', ratio(save.ofLimit), ratio(resume.ofLimit)),
    row('  into old memory', '', `${formatSummary(restore.rate, formatRate)}, ${ratio(restore.ofLimit)} of the limit`),
    ...peers.map((peer) => row(peer.name, formatSummary(peer.save, formatRate), formatSummary(peer.load, formatRate))),
    ...peers.map((peer) =>
      row(`  ours is faster by`, `${ratio(peer.oursIsFaster.save)} (${peer.name})`, ratio(peer.oursIsFaster.load)),
    ),
    row('CPU s per GB', save.cpuSecondsPerGB.median.toFixed(3), resume.cpuSecondsPerGB.median.toFixed(3)),
    row(
      'longest gap',
      `${save.longestGapMs.toFixed(1)} ms (99 %: ${save.gapQuantilesMs[0.99]?.toFixed(1)})`,
      `${resume.longestGapMs.toFixed(1)} ms (99 %: ${resume.gapQuantilesMs[0.99]?.toFixed(1)})`,
    ),
    row('beside the tensors', formatSize(save.extraBytes), formatSize(restore.extraBytes)),
    row('bytes copied', `${(save.copiedPerByte * 100).toFixed(1)} %`, `${(resume.copiedPerByte * 100).toFixed(1)} %`),
    row('bound by', `${result.boundBy.save.resource}`, `${result.boundBy.resume.resource}`),
    `  save: ${result.boundBy.save.because}; resume: ${result.boundBy.resume.because}`,
    `  one thread touches fresh memory at ${formatRate(result.firstTouch.median)}`,
    `  save every ${formatTime(interval.awaited.seconds)} (${(interval.awaited.lostFraction * 100).toFixed(2)} % of the time lost) where training waits for it, every ${formatTime(interval.background.seconds)} (${(interval.background.lostFraction * 100).toFixed(3)} %) where it goes on, at one failure in ${formatTime(interval.mtbf)}`,
    `  limit: ${limit.settings.write} / ${limit.settings.read}`,
    `    ${limit.commands.write}`,
    ...peers.map(
      ({ name, commands }) =>
        `  ${name} ${commands.version}: save ${commands.save}; load ${commands.load}; ${result.durable ? 'all its files fsynced' : 'no fsync'}`,
    ),
  ];
  return lines.join('\n');
}
