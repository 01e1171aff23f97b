// @ts-check
// A small durable save costs its flushes and little else: four, one after the other, by the commit protocol. Compared with
// plain flushes of the same disk, and with the same bytes in one new file, in turns.
import { spawnSync } from 'node:child_process';
import { closeSync, fdatasyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { flushesOf, parseStrace } from '../lib/flushes.js';
import { makeLayout } from '../lib/layouts.js';
import { markdownTable } from '../lib/markdown.js';
import { Ours } from '../lib/ours.js';
import { quantile, summarize } from '../lib/statistics.js';
import { formatSummary, formatTime } from '../lib/units.js';

const BYTES = 2 ** 20;
const SAVES = 60;
const FLUSHES = 4;
const ALLOWANCE_SECONDS = 0.002;

/** @param {import('../instrument.js').Context} context */
export async function run(context) {
  const { options, workspace, progress, log } = context;
  workspace.needRoom(64 * BYTES, 'Small saves');
  const layout = makeLayout('one', BYTES);
  const order = /** @type {const} */ ({
    layout,
    memory: 'own',
    state: 'host',
    read: {},
    write: { ...options.write, durable: true },
    env: options.env,
  });
  const ours = new Ours(workspace, order);
  const file = openSync(workspace.path('flush'), 'w');
  const block = Buffer.alloc(4096, 0xa5);
  const state = Buffer.alloc(BYTES, 0xa5);
  const flushes = [];
  const plain = [];
  const saves = [];
  for (let index = 0; index < SAVES; index++) {
    progress(`small saves: ${index + 1} of ${SAVES}`);
    for (let flush = 0; flush < FLUSHES; flush++) {
      // New data at the end of a file: what a flush of a new checkpoint file has to bring to the disk, too.
      writeSync(file, block, 0, block.length, (index * FLUSHES + flush) * block.length);
      const start = performance.now();
      fdatasyncSync(file);
      flushes.push((performance.now() - start) / 1000);
    }
    saves.push((await ours.save()).seconds);
    plain.push(plainSeconds(workspace.path('plain'), state));
  }
  closeSync(file);
  await ours.end();
  const save = summarize(saves);
  const flush = summarize(flushes);
  const allowed = FLUSHES * flush.median + ALLOWANCE_SECONDS;
  const counted = await countFlushes(context, order);
  if (!counted)
    log('flushes not counted: strace is not installed (Debian: apt-get install strace), or may not trace here');
  return {
    bytes: BYTES,
    saves: SAVES,
    save,
    save99: quantile(saves, 0.99),
    flush,
    plain: summarize(plain),
    allowed,
    ofAllowed: save.median / allowed,
    flushes: counted,
    samples: { saves, flushes, plain },
  };
}

/** How long a program takes that only writes these bytes to a new file and flushes it. @param {string} path @param {Buffer} bytes */
function plainSeconds(path, bytes) {
  const start = performance.now();
  const file = openSync(path, 'wx');
  writeSync(file, bytes);
  fdatasyncSync(file);
  closeSync(file);
  const seconds = (performance.now() - start) / 1000;
  rmSync(path);
  return seconds;
}

/** Saves under strace, in a run of its own: tracing costs time. @param {import('../instrument.js').Context} context @param {import('../lib/ours.js').OurOrder} order */
async function countFlushes({ workspace, progress }, order) {
  const trace = workspace.path('trace');
  const strace = ['strace', '-f', '-ttt', '-T', '-s', '512', '-o', trace, '-e'];
  const calls = 'trace=openat,open,rename,renameat,renameat2,fsync,fdatasync,sync,syncfs,sync_file_range,msync';
  if (spawnSync('strace', ['-o', '/dev/null', 'true']).status !== 0) return null;
  progress('small saves: counting flushes with strace');
  const ours = new Ours(workspace, { ...order, wrap: [...strace, calls] });
  const { prefix } = await ours.save();
  await ours.end();
  return flushesOf(parseStrace(readFileSync(trace, 'utf8')), /** @type {string} */ (prefix.split('/').at(-1)));
}

/** @param {Awaited<ReturnType<typeof run>>} result */
export function describe({ save, save99, flush, plain, allowed, ofAllowed, flushes }) {
  return markdownTable(
    ['a checkpoint of 1 MiB, durable', ''],
    [
      ['until committed', `${formatSummary(save, formatTime)}, 99 % within ${formatTime(save99)}`],
      ['a plain fdatasync of 4 KiB on this disk', formatSummary(flush, formatTime)],
      [
        `${FLUSHES} of them and ${formatTime(ALLOWANCE_SECONDS)}`,
        `${formatTime(allowed)}: the save takes ${ofAllowed.toFixed(2)} of that`,
      ],
      ['one new file of 1 MiB, written and fdatasynced by a plain program', formatSummary(plain, formatTime)],
      [
        'flushes (strace)',
        flushes
          ? `${flushes.calls}, ${flushes.serial} one after the other; ${flushes.renames} renames`
          : 'not counted: no strace here',
      ],
    ],
  );
}
