// @ts-check
// One layout, in turns: the disk's limit, ours and the peers, round after round on one disk.
import { layoutBytes, makeLayout } from '../lib/layouts.js';
import { availableMemory } from '../lib/machine.js';
import { haveMemoryAtHand } from '../lib/memory-at-hand.js';
import { Ours } from '../lib/ours.js';
import { orderOf } from '../lib/statistics.js';
import { formatRate, formatSize, UsageError } from '../lib/units.js';
import { fasterTool } from '../limit/faster-tool.js';
import { LEAST_ROUNDS } from '../options.js';
import { Peer } from '../peers/peers.js';
import { summarizeRounds } from './summary.js';

/** @typedef {import('../instrument.js').Context} Context */
/** @typedef {import('../lib/layouts.js').Layout} Layout */
/** @typedef {import('../lib/budget.js').Budget} Budget */

/** Moved by each try of a peer's variants. */
const CHOICE_BYTES = 2 ** 29;

/**
 * @param {Context} context
 * @param {Layout} layout
 * @param {{ peers: boolean, brief: boolean, least: number, budget: Budget }} how `brief`: only the faster tool is the
 *   limit, and nothing is restored into memory that exists; `least` rounds whatever the budget says
 */
export async function runLayout(context, layout, { brief, budget, ...how }) {
  const { options, workspace, progress, log } = context;
  const bytes = layoutBytes(layout);
  if (availableMemory() < bytes * 1.15) {
    throw new UsageError(
      `A state of ${formatSize(bytes)} doesn't fit into the memory that is free (${formatSize(availableMemory())}).`,
    );
  }
  // A save is complete before the one before is deleted; a peer's files lie beside ours.
  workspace.needRoom(bytes * (how.peers ? 3.2 : 2.2), `A state of ${formatSize(bytes)}`);
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
  /** Between its turns a contestant keeps its memory where there is room for it. @param {number} wanted @param {boolean} [keepOurs] */
  const makeRoom = async (wanted, keepOurs = false) => {
    if (availableMemory() < wanted) await limit.rest();
    if (availableMemory() < wanted && !keepOurs) await ours.rest();
  };

  /** @type {Record<string, { write: number[], read: number[] }>} */
  const rates = Object.fromEntries(
    ['few', 'ours', ...peers.map(({ name }) => name)].map((name) => [name, { write: [], read: [] }]),
  );
  const rounds = /** @type {any[]} */ ([]);

  const measure = {
    limit: async () => {
      await makeRoom(Math.min(bytes, 2 ** 32) * 2.2);
      const found = await limit.measure(bytes, { brief });
      for (const direction of /** @type {const} */ (['write', 'read'])) {
        const { few } = found[direction];
        if (few) rates.few?.[direction].push(few.bytesPerSecond);
      }
      return found;
    },
    ours: async () => {
      await makeRoom(bytes * 1.15, true);
      haveMemoryAtHand(bytes);
      const save = await ours.save();
      await makeRoom(bytes * 1.15);
      const resume = await ours.restore('resume');
      const restore = brief ? null : await ours.restore('restore');
      rates.ours?.write.push(bytes / save.seconds);
      rates.ours?.read.push(bytes / resume.seconds);
      return { save, resume, restore };
    },
    peer: async (/** @type {Peer} */ peer) => {
      await makeRoom(bytes * 5); // Some hold the state four times.
      const save = await peer.save();
      const load = await peer.load();
      peer.end();
      rates[peer.name]?.write.push(bytes / save.seconds);
      rates[peer.name]?.read.push(bytes / load.seconds);
      return { save, load };
    },
  };

  /** The longest so far, in seconds. */
  const took = { alone: 0, peers: 0 };
  let withPeers = peers.length > 0;
  await budget.repeat({ least: Math.min(how.least, options.rounds), most: options.rounds }, async (round) => {
    // The peers leave as much time as ours and the limit need for the rounds to come.
    const toCome = (options.rounds - round) * took.alone;
    withPeers &&= round < options.peerRounds && (round < LEAST_ROUNDS || budget.left > toCome + took.peers);
    const spent = { alone: 0, peers: 0 };
    const figures = /** @type {any} */ ({ peers: {} });
    for (const contestant of orderOf(['limit', 'ours', ...(withPeers ? peers : [])], round)) {
      const name = typeof contestant === 'string' ? contestant : contestant.name;
      progress(`${layout.name}, round ${round + 1} of ${options.rounds}: ${name}`);
      const start = performance.now();
      if (contestant === 'limit') figures.limit = await measure.limit();
      else if (contestant === 'ours') figures.ours = await measure.ours();
      else if (contestant instanceof Peer) {
        try {
          figures.peers[name] = await measure.peer(contestant);
        } catch (error) {
          // Half a comparison is none; the others go on.
          peers = peers.filter((peer) => peer !== contestant);
          dropPeer(context, contestant, error);
        }
      }
      spent[contestant instanceof Peer ? 'peers' : 'alone'] += (performance.now() - start) / 1000;
    }
    took.alone = Math.max(took.alone, spent.alone);
    took.peers = Math.max(took.peers, spent.peers);
    rounds.push(figures);
    log(
      `${layout.name} ${round + 1}/${options.rounds}: ${describeRound(figures, bytes)} (${spent.alone.toFixed(0)} s${spent.peers ? `, peers ${spent.peers.toFixed(0)} s` : ''})`,
    );
  });
  await limit.rest();
  await ours.end();
  const toolOf = (/** @type {'write' | 'read'} */ direction) =>
    fasterTool(rounds.map((round) => round.limit[direction].tools));
  return summarizeRounds(context, layout, { write: toolOf('write'), read: toolOf('read') }, rates, rounds, peers);
}

/** @param {any} figures @param {number} bytes */
function describeRound({ limit, ours }, bytes) {
  const { save, resume, restore } = ours;
  return [
    `limit ${formatRate(limit.write.bytesPerSecond)} / ${formatRate(limit.read.bytesPerSecond)}`,
    `save ${formatRate(bytes / save.seconds)}`,
    `resume ${formatRate(bytes / resume.seconds)}${resume.dropped === 'not' ? ' (cache NOT dropped)' : ''}`,
    ...(restore ? [`restore into memory that exists ${formatRate(bytes / restore.seconds)}`] : []),
  ].join(', ');
}

/** @param {Context} context @param {Layout} layout */
async function choosePeers(context, layout) {
  const { options, workspace, remembered, machine, progress, peers } = context;
  const chosen = [];
  const bytes = Math.min(layoutBytes(layout), CHOICE_BYTES);
  for (const info of await peers()) {
    const peer = new Peer(workspace, info, layout, options.durable);
    const { cpu, cores, fileSystem } = machine;
    const { name, version, variants } = info;
    const circumstances = { peer: 3, name, version, variants, layout: layout.name, bytes, cpu, cores, fileSystem };
    try {
      const { value } = await remembered.find({ ...circumstances, durable: options.durable }, () =>
        peer.choose(makeLayout(/** @type {any} */ (layout.name), bytes, options.tensors), progress),
      );
      peer.use(value);
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
