// @ts-check
// The benchmark as one call, for `npm run bench` and whatever else wants to show it: runs experiments, tells of each as it
// ends, returns all figures. It owns a directory on the disk under test, and leaves nothing behind.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { inspect } from 'node:util';
import * as cache from './experiments/cache.js';
import * as layouts from './experiments/layouts.js';
import * as series from './experiments/series.js';
import * as small from './experiments/small.js';
import * as tax from './experiments/tax.js';
import * as terabyte from './experiments/terabyte.js';
import * as throughput from './experiments/throughput.js';
import { Budget } from './lib/budget.js';
import { describeMachine, loadWarning, machineFacts } from './lib/machine.js';
import { Remembered } from './lib/remembered.js';
import { UsageError } from './lib/units.js';
import { Workspace } from './lib/workspace.js';
import { DiskLimit } from './limit/limit.js';
import { describeSetting } from './limit/setting.js';
import { commandOf, experimentMinutes } from './options.js';
import { findPeers } from './peers/peers.js';
import { chartsOf } from './report/charts.js';
import { writeReport } from './report/report.js';

const experiments = { throughput, layouts, series, small, tax, cache, terabyte };

/**
 * What an experiment gets. `limit` and `peers` are found at their first use, and then kept.
 * @typedef {{
 *   options: import('./options.js').BenchOptions, workspace: Workspace, machine: import('./lib/machine.js').MachineFacts,
 *   remembered: Remembered, budget: Budget, progress: (text: string) => void, log: (text: string) => void,
 *   limit: () => Promise<DiskLimit>, peers: () => Promise<import('./peers/peers.js').PeerInfo[]>,
 * }} Context
 */

/** @typedef {{ log: (text: string) => void, progress: (text: string) => void }} Output `progress` replaces what it said last */

/**
 * @param {import('./options.js').BenchOptions} options
 * @param {Output} output
 */
export async function bench(options, { log, progress }) {
  const workspace = new Workspace(path.resolve(options.directory));
  const remembered = new Remembered({ again: options.searchAgain });
  const machine = machineFacts(workspace.directory);
  /** @type {Promise<DiskLimit> | undefined} */
  let limit;
  /** @type {ReturnType<typeof findPeers> | undefined} */
  let peers;
  /** @type {Omit<Context, 'budget' | 'progress'>} */
  const shared = {
    options,
    workspace,
    machine,
    remembered,
    log,
    limit: () => (limit ??= searchedLimit(workspace, remembered, machine, options, { log, progress })),
    peers: async () => {
      peers ??= findPeers(workspace, options.peers, options.python);
      const { found, missing } = await peers;
      if (missing.length > 0)
        log(`not compared with ${missing.join(', ')}: no Python environment here has them (npm run bench:peers)`);
      return found;
    },
  };
  try {
    log(describeMachine(machine));
    const warning = loadWarning(machine);
    if (warning) log(warning);
    const minutes = options.experiments.map((name) => options.minutes ?? experimentMinutes[name]);
    log(estimate(options.experiments, minutes));
    const all = {
      machine,
      options,
      command: commandOf(options.argv),
      limitSearch: /** @type {DiskLimit['tried'] | null} */ (null),
      /** @type {Record<string, number>} */
      minutes: {},
      /** @type {string[]} */
      failed: [],
      /** @type {Record<string, any>} */
      results: {},
    };
    for (const [index, name] of options.experiments.entries()) {
      const budget = new Budget(/** @type {number} */ (minutes[index]));
      const withTime = (/** @type {string} */ text) =>
        progress(`${name}, ${Math.max(0, budget.left / 60).toFixed(1)} min left: ${text}`);
      const start = performance.now();
      let described;
      try {
        const result = await experiments[name].run({ ...shared, budget, progress: withTime });
        all.results[name] = result;
        described = experiments[name].describe(/** @type {any} */ (result));
        log(`\n${name}\n\n${described}\n`);
      } catch (error) {
        // Of several experiments the others go on; one that was asked for by itself has failed.
        if (options.experiments.length === 1) throw error;
        log(`\n${name} is left out. ${error instanceof UsageError ? error.message : `It failed: ${inspect(error)}`}\n`);
        all.failed.push(name);
        continue;
      }
      all.minutes[name] = (performance.now() - start) / 60_000;
      all.limitSearch = limit ? (await limit).tried : null;
      // After each, so that a run that fails late has not been for nothing.
      publish(all, name, described);
    }
    return all;
  } finally {
    workspace.close();
  }
}

/** @typedef {Awaited<ReturnType<typeof bench>>} BenchResult */

/** @param {readonly string[]} names @param {readonly number[]} minutes */
function estimate(names, minutes) {
  const sum = minutes.reduce((a, b) => a + b, 0);
  const parts = names.map((name, index) => `${name} ${minutes[index]}`).join(', ');
  const end = new Date(Date.now() + sum * 60_000).toTimeString().slice(0, 5);
  return `about ${sum} min (${parts}; slow disks take longer), until ${end}`;
}

/** @param {BenchResult} all @param {string} name of the experiment that has just ended @param {string} described */
function publish(all, name, described) {
  const { charts, report, json } = all.options;
  if (charts) writeCharts(charts, all);
  if (report) writeReport(report, all, name, described);
  if (json && json !== '-') writeFileSync(json, `${JSON.stringify(all, null, 2)}\n`);
}

/**
 * @param {Workspace} workspace
 * @param {Remembered} remembered
 * @param {import('./lib/machine.js').MachineFacts} machine
 * @param {import('./options.js').BenchOptions} options
 * @param {Output} output
 */
async function searchedLimit(workspace, remembered, machine, options, { log, progress }) {
  workspace.needRoom(options.search * 2.2, "Looking for the disk's limit");
  const limit = new DiskLimit(workspace, { durable: options.durable, tools: options.limit });
  const { cpu, cores, kernel, fileSystem } = machine;
  const { engines, fio } = limit;
  const circumstances = { limit: 2, cpu, cores, kernel, fileSystem, fio, engines, durable: options.durable };
  const { value, date } = await remembered.find({ ...circumstances, bytes: options.search }, async () => {
    await limit.search(options.search, (direction, setting) =>
      progress(`looking for the disk's limit: ${direction}, ${describeSetting(setting)}`),
    );
    return limit.tried;
  });
  limit.tried = value;
  if (!limit.fio && options.limit !== 'raw')
    log('fio is not installed: the limit is our own raw search (Debian: apt-get install fio)');
  for (const direction of /** @type {const} */ (['write', 'read'])) {
    const best = value[direction].state[0];
    if (best)
      log(
        `the disk ${direction}s fastest with ${describeSetting(best.setting)}, of ${value[direction].state.length} settings tried (${date.slice(0, 16).replace('T', ' ')}; --search-again)`,
      );
  }
  return limit;
}

/** @param {string} directory @param {BenchResult} all */
function writeCharts(directory, all) {
  mkdirSync(directory, { recursive: true });
  for (const [name, svg] of Object.entries(chartsOf(all))) {
    writeFileSync(path.join(directory, `${name}.svg`), svg);
  }
}
