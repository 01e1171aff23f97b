// @ts-check
// The benchmark as one call, for `npm run bench` and whatever else wants to show it: runs experiments, tells of each as it
// ends, returns all figures. It owns a directory on the disk under test, and leaves nothing behind.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { chartsOf } from './charts.js';
import * as cache from './experiments/cache.js';
import * as series from './experiments/series.js';
import * as small from './experiments/small.js';
import * as tax from './experiments/tax.js';
import * as terabyte from './experiments/terabyte.js';
import * as throughput from './experiments/throughput.js';
import { describeMachine, loadWarning, machineFacts } from './lib/machine.js';
import { Workspace } from './lib/workspace.js';
import { DiskLimit, describeSetting } from './limit/search.js';
import { findPeers } from './peers/peers.js';

const experiments = { throughput, series, small, tax, cache, terabyte };

/**
 * What an experiment gets. `limit` and `peers` are found at their first use, and then kept.
 * @typedef {{
 *   options: import('./options.js').BenchOptions, workspace: Workspace, machine: import('./lib/machine.js').MachineFacts,
 *   progress: (text: string) => void, log: (text: string) => void,
 *   limit: () => Promise<DiskLimit>, peers: () => Promise<import('./peers/peers.js').PeerInfo[]>,
 * }} Context
 */

/**
 * @param {import('./options.js').BenchOptions} options
 * @param {{ log: (text: string) => void, progress: (text: string) => void }} output `progress` replaces what it said last
 */
export async function bench(options, { log, progress }) {
  const workspace = new Workspace(path.resolve(options.directory));
  try {
    const machine = machineFacts(workspace.directory);
    log(describeMachine(machine));
    const warning = loadWarning(machine);
    if (warning) log(warning);
    /** @type {Promise<DiskLimit> | undefined} */
    let limit;
    /** @type {ReturnType<typeof findPeers> | undefined} */
    let peers;
    /** @type {Context} */
    const context = {
      options,
      workspace,
      machine,
      log,
      progress,
      limit: () => (limit ??= searchedLimit(workspace, options, { log, progress })),
      peers: async () => {
        peers ??= findPeers(workspace, options.peers, options.python);
        const { found, missing } = await peers;
        if (missing.length > 0)
          log(`not compared with ${missing.join(', ')}: no Python environment here has them (npm run bench:peers)`);
        return found;
      },
    };
    /** @type {Record<string, any>} */
    const results = {};
    for (const name of options.experiments) {
      const experiment = experiments[/** @type {keyof typeof experiments} */ (name)];
      const result = await experiment.run(context);
      results[name] = result;
      log(`\n${experiment.describe(/** @type {any} */ (result))}\n`);
    }
    const found = limit ? await limit : null;
    const all = { machine, options, command: commandOf(options), limitSearch: found?.tried ?? null, results };
    if (options.charts) writeCharts(options.charts, all, log);
    if (options.json && options.json !== '-') writeFileSync(options.json, `${JSON.stringify(all, null, 2)}\n`);
    return all;
  } finally {
    workspace.close();
  }
}

/** @typedef {Awaited<ReturnType<typeof bench>>} BenchResult */

/** @param {Workspace} workspace @param {import('./options.js').BenchOptions} options @param {{ log: (text: string) => void, progress: (text: string) => void }} output */
async function searchedLimit(workspace, options, { log, progress }) {
  workspace.needRoom(options.search * 2.2, "Looking for the disk's limit");
  const limit = new DiskLimit(workspace, { durable: options.durable, tools: options.limit });
  await limit.search(options.search, progress);
  if (!limit.fio && options.limit !== 'raw')
    log('fio is not installed: the limit is our own raw search (Debian: apt-get install fio)');
  for (const direction of /** @type {const} */ (['write', 'read'])) {
    const best = limit.tried[direction][0];
    if (best)
      log(
        `the disk ${direction}s fastest with ${describeSetting(best.setting)}, of ${limit.tried[direction].length} settings tried`,
      );
  }
  return limit;
}

/** @param {string} directory @param {{ results: Record<string, any>, machine: import('./lib/machine.js').MachineFacts, command: string }} all @param {(text: string) => void} log */
function writeCharts(directory, all, log) {
  mkdirSync(directory, { recursive: true });
  for (const [name, svg] of Object.entries(chartsOf(all))) {
    writeFileSync(path.join(directory, `${name}.svg`), svg);
    log(`wrote ${path.join(directory, `${name}.svg`)}`);
  }
}

/** The options that change figures, as somebody else would type them: no place of this machine is in it. @param {import('./options.js').BenchOptions} options */
export function commandOf(options) {
  const elsewhere = /^--(json|charts|python)(=|$)/;
  const words = options.argv.filter(
    (word, index) => !elsewhere.test(word) && !/^--(json|charts|python)$/.test(options.argv[index - 1] ?? ''),
  );
  return `npm run bench -- DIR ${words.join(' ')}`.trim();
}
