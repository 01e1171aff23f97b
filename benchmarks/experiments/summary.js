// @ts-check
// What the rounds of one layout come to.
import { layoutBytes, layoutTensors } from '../lib/layouts.js';
import { limitingResource } from '../lib/resource.js';
import { histogram, pairedRatios, quantile, summarize } from '../lib/statistics.js';
import { checkpointInterval, lostFraction } from '../lib/young-daly.js';
import { describeSetting } from '../limit/setting.js';

/** @typedef {import('../limit/limit.js').Figure} Figure */

/**
 * @param {import('../instrument.js').Context} context
 * @param {import('../lib/layouts.js').Layout} layout
 * @param {{ write: Figure[], read: Figure[] }} limits a figure for each round
 * @param {Record<string, { write: number[], read: number[] }>} rates of the others
 * @param {any[]} rounds
 * @param {import('../peers/peers.js').Peer[]} peers
 */
export function summarizeRounds({ options, machine }, layout, limits, rates, rounds, peers) {
  const bytes = layoutBytes(layout);
  const own = rounds.map((round) => round.ours);
  const none = { write: /** @type {number[]} */ ([]), read: /** @type {number[]} */ ([]) };
  const ratesOf = (/** @type {Figure[]} */ figures) => figures.map(({ bytesPerSecond }) => bytesPerSecond);
  const limit = { write: ratesOf(limits.write), read: ratesOf(limits.read) };
  const { few = none, ours = none } = rates;
  // Brief rounds have no restores into memory that exists, and know the limit by one tool alone.
  const restores = own.flatMap(({ restore }) => restore ?? []);
  const restored = restores.map(({ seconds }) => bytes / seconds);
  const pick = (/** @type {'save' | 'resume' | 'restore'} */ what) => {
    const seconds = own.map((one) => one[what].seconds);
    const cpu = own.map((one) => one[what].cpuSeconds / (bytes / 1e9));
    const stalls = own.flatMap((one) => /** @type {number[]} */ (one[what].stallsMs));
    return {
      rate: summarize(seconds.map((value) => bytes / value)),
      seconds: summarize(seconds),
      cpuSecondsPerGB: summarize(cpu),
      threadCpuSecondsPerGB: summarize(own.map((one) => (one[what].threadCpuSeconds ?? 0) / (bytes / 1e9))),
      longestGapMs: Math.max(...own.map((one) => one[what].gapMs)),
      // One a round: a host that takes the processor away for a moment is in the longest, and not in the median.
      gapMs: summarize(own.map((one) => one[what].gapMs)),
      stolenMs: own.reduce((sum, one) => sum + (one[what].stolenMs ?? 0), 0),
      gapQuantilesMs: Object.fromEntries([0.5, 0.99, 0.999].map((q) => [q, quantile(stalls, q)])),
      stalls: histogram(stalls, 0.5, 9),
      extraBytes: Math.max(...own.map((one) => one[what].extraBytes)),
      copiedPerByte: Math.max(...own.map((one) => (one[what].stats?.bytesCopied ?? 0) / bytes)),
    };
  };
  const save = pick('save');
  const resume = pick('resume');
  const restore = restores.length > 0 ? { ...pick('restore'), ...ratiosOf(restored, limit.read, few.read) } : null;
  const saveLimit = summarize(limit.write);
  const readLimit = summarize(limit.read);
  const firstTouch =
    restores.length > 0 ? summarize(restores.map(({ firstTouchSeconds }) => bytes / firstTouchSeconds)) : null;
  const stall = Math.max(1e-6, save.longestGapMs / 1000);
  const versus = peers.map((peer) => {
    const { write, read } = rates[peer.name] ?? none;
    // Like with like: whoever loads into memory that exists is compared with our restore into such memory.
    const { loadsInto } = peer.info;
    const loads = loadsInto === 'existing' && restored.length > 0 ? restored : ours.read;
    return {
      name: peer.name,
      commands: peer.commands,
      loadsInto,
      save: summarize(write),
      load: summarize(read),
      oursIsFaster: {
        save: summarize(pairedRatios(ours.write.slice(0, write.length), write)),
        load: summarize(pairedRatios(loads.slice(0, read.length), read)),
        resume: summarize(pairedRatios(ours.read.slice(0, read.length), read)),
      },
    };
  });
  const last = rounds.at(-1);
  const lastOf = (/** @type {Figure[]} */ figures) => /** @type {Figure} */ (figures.at(-1));
  return {
    layout: { ...layout, bytes, tensors: layoutTensors(layout) },
    rounds: rounds.length,
    durable: options.durable,
    limit: {
      write: saveLimit,
      read: readLimit,
      commands: { write: lastOf(limits.write).command, read: lastOf(limits.read).command },
      settings: {
        write: describeSetting(lastOf(limits.write).setting),
        read: describeSetting(lastOf(limits.read).setting),
      },
    },
    fewBuffers: few.read.length > 0 ? fewBuffers(few, last.limit) : null,
    save: { ...save, ...ratiosOf(ours.write, limit.write, few.write) },
    resume: {
      ...resume,
      ...ratiosOf(ours.read, limit.read, few.read),
      cold: own.every(({ resume: one }) => one.dropped === 'files' || one.dropped === 'everything'),
    },
    restore,
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
        ...(firstTouch ? { firstTouchRate: firstTouch.median } : {}),
      }),
    },
    interval: {
      mtbf: options.mtbf,
      awaited: checkpointInterval(save.seconds.median, options.mtbf, resume.seconds.median),
      background: backgroundInterval(stall, save.seconds.median, options.mtbf, resume.seconds.median),
    },
    samples: { rates: { limit, ...rates }, rounds: rounds.map(withoutStalls) },
  };
}

/**
 * Against the limit, and against the same disk with a few small buffers, which no state fits into.
 * @param {readonly number[]} ours @param {readonly number[]} limit @param {readonly number[]} few
 */
function ratiosOf(ours, limit, few) {
  return {
    ofLimit: summarize(pairedRatios(ours, limit)),
    ofFewBuffers: few.length > 0 ? summarize(pairedRatios(ours, few)) : null,
  };
}

/** @param {{ write: readonly number[], read: readonly number[] }} rates @param {any} last round */
function fewBuffers({ write, read }, last) {
  return {
    write: summarize(write),
    read: summarize(read),
    commands: { write: last.write.few.command, read: last.read.few.command },
    settings: { write: describeSetting(last.write.few.setting), read: describeSetting(last.read.few.setting) },
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
      restore: restore ? strip(restore) : null,
    },
  };
}
