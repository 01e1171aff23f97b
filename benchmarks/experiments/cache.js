// @ts-check
// A checkpoint must not push a job's data out of the page cache. A data file is read until it is cached, then checkpoints
// are saved and restored; and the same bytes are written and read the ordinary way, to show what would have happened.
// Where it can be had, a memory limit leaves room for the state and the data and little else.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cachedBytes, dropCache, filesBelow } from '../lib/cache.js';
import { layoutBytes, makeLayout } from '../lib/layouts.js';
import { markdownTable } from '../lib/markdown.js';
import { limitMemory } from '../lib/memory-limit.js';
import { Ours } from '../lib/ours.js';
import { formatSize, UsageError } from '../lib/units.js';

const ordinary = fileURLToPath(new URL('../children/ordinary.js', import.meta.url));
const SAVES = 2;
const MiB = 2 ** 20;

/** @param {import('../instrument.js').Context} context */
export async function run(context) {
  const { options, workspace, progress, log } = context;
  if (cachedBytes([fileURLToPath(import.meta.url)]) === null) {
    throw new UsageError(
      'The experiment cache looks into the page cache with fincore of util-linux, which is not installed (Debian: apt-get install util-linux-extra).',
    );
  }
  const layout = makeLayout('standard', options.size);
  const bytes = layoutBytes(layout);
  const dataBytes = Math.max(16 * MiB, Math.round(bytes / 4 / MiB) * MiB);
  workspace.needRoom(bytes * 3.2 + dataBytes, 'The page cache experiment');
  const memory = bytes + dataBytes + Math.round(bytes / 8) + 192 * MiB;
  const data = workspace.path('data');
  await workspace.run(process.execPath, [ordinary, 'write', data, String(dataBytes), '1']);

  /** @param {string} what @param {(wrap: readonly string[] | undefined) => Promise<number>} work returns bytes of its own files that are cached */
  const beside = async (what, work) => {
    progress(`page cache: ${what}`);
    dropCache(data);
    const limit = limitMemory(memory);
    try {
      const [command, ...args] = [...(limit?.wrap ?? []), process.execPath, ordinary, 'read', data];
      // Once, as in the epoch of a training: what was used again would be kept before what was used once.
      await workspace.run(/** @type {string} */ (command), args);
      const before = cachedBytes([data]) ?? 0;
      const own = await work(limit?.wrap);
      return { limited: limit !== null, before, after: cachedBytes([data]) ?? 0, own };
    } finally {
      limit?.end();
    }
  };

  const checkpoints = await beside('saving and restoring checkpoints', async (wrap) => {
    const ours = new Ours(workspace, {
      layout,
      memory: options.memory,
      state: options.state,
      write: options.write,
      read: options.read,
      env: options.env,
      wrap,
    });
    for (let save = 0; save < SAVES; save++) await ours.save();
    await ours.rest();
    await ours.restore('resume');
    const own = cachedBytes(filesBelow(ours.directory)) ?? 0;
    await ours.end();
    return own;
  });
  const plain = await beside('writing and reading the same bytes the ordinary way', async (wrap) => {
    const file = workspace.path('plain');
    const [command, ...args] = [
      ...(wrap ?? []),
      process.execPath,
      ordinary,
      'write',
      file,
      String(bytes),
      String(SAVES + 1),
    ];
    await workspace.run(/** @type {string} */ (command), args);
    const own = cachedBytes([file]) ?? 0;
    workspace.remove('plain');
    return own;
  });
  workspace.remove('data');
  if (!checkpoints.limited)
    log('no memory limit could be set (it needs a control group): with much memory free, nothing has to give way');
  if (readdirSync(workspace.directory).includes(path.basename(data))) throw new Error('the data file was not removed');
  return { bytes, dataBytes, saves: SAVES + 1, memoryLimit: checkpoints.limited ? memory : null, checkpoints, plain };
}

/** @param {Awaited<ReturnType<typeof run>>} result */
export function describe({ bytes, dataBytes, saves, memoryLimit, checkpoints, plain }) {
  const row = (/** @type {string} */ name, /** @type {typeof plain} */ { before, after, own }) => [
    name,
    formatSize(before),
    `${formatSize(after)}: ${before > 0 ? Math.round((after / before) * 100) : 0} %`,
    formatSize(own),
  ];
  return markdownTable(
    [
      `${saves} saves and a restore of ${formatSize(bytes)}${memoryLimit ? `, all within ${formatSize(memoryLimit)} of memory` : ', with memory to spare'}`,
      `of ${formatSize(dataBytes)} of data, cached before`,
      'after',
      'of their own files',
    ],
    [row('checkpoints', checkpoints), row('the same written and read plainly', plain)],
  );
}
