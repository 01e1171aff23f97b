// `npm run bench [-- DIR] [--size 4GiB] [--rounds 3] [--json]`: durable save and cold, verified restore against the disk's limit,
// in turns on the same disk in one run.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Checkpoint, CheckpointManager, engineInfo } from 'tensor-checkpoint';
import { diskLimit, fioVersion } from './limit.js';
import { observe } from './observe.js';
import { makeState, stateBytes } from './state.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: 'string', default: '4GiB' },
    rounds: { type: 'string', default: '3' },
    shards: { type: 'string' },
    threads: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

const wanted = parseSize(values.size);
const rounds = Number(values.rounds);
const base = path.resolve(positionals[0] ?? '.');
if (!Number.isInteger(rounds) || rounds < 1)
  throw new Error(`--rounds takes a whole number from 1, not ${values.rounds}`);
if (!fioVersion())
  throw new Error('The benchmark compares with fio, which is not installed (Debian: apt-get install fio).');
const free = statfsSync(base);
if (free.bavail * free.bsize < wanted * 3) throw new Error(`${base} has no room for three times ${values.size}.`);

const directory = mkdtempSync(path.join(base, 'tensor-checkpoint-bench-'));
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
process.on('SIGINT', () => process.exit(130));

const log = values.json ? () => {} : console.log;
log(
  `${os.cpus()[0]?.model}, ${os.cpus().length} cores, Node ${process.version}, ${fioVersion()}, CRC-32C ${engineInfo().checksum}`,
);
log(`filling ${values.size} of float32 …`);
const state = makeState(wanted, { fill: true });
const bytes = stateBytes(state);
const write = {
  ...(values.shards ? { shards: Number(values.shards) } : {}),
  ...(values.threads ? { threads: Number(values.threads) } : {}),
};
const manager = new CheckpointManager(new Checkpoint(state), {
  directory: path.join(directory, 'ckpt'),
  maxToKeep: 1,
  write,
});
const samples = { writeLimit: [], save: [], readLimit: [], restore: [], firstTouch: [] };
const extremes = { gapMs: 0, extraBytes: 0, restoreGapMs: 0, restoreExtraBytes: 0 };
let commands = {};

// The first save of a process also loads and compiles what it runs, and collects the garbage of what was before it: shown,
// not counted.
const first = await observe(() => manager.begin().committed);
await manager.sync();
log(`first save of the process: ${rate(bytes / first.seconds)}, gap ${first.gapMs.toFixed(1)} ms`);

for (let round = 1; round <= rounds; round++) {
  const writeLimit = diskLimit('write', directory, bytes);
  // The clock stops when the checkpoint is committed. Deleting the one before, which save() also waits for, is no part of
  // what fio does, and is over before the next measurement.
  const save = await observe(() => manager.begin().committed);
  await manager.sync();
  const readLimit = diskLimit('read', directory, bytes);
  const cold = dropCaches();
  const restore = JSON.parse(
    execFileSync(
      process.execPath,
      [fileURLToPath(new URL('restore.js', import.meta.url)), save.result, String(wanted)],
      {
        encoding: 'utf8',
      },
    ),
  );
  commands = { write: writeLimit.command, read: readLimit.command };
  samples.writeLimit.push(writeLimit.bytesPerSecond);
  samples.save.push(bytes / save.seconds);
  samples.readLimit.push(readLimit.bytesPerSecond);
  samples.restore.push(bytes / restore.seconds);
  samples.firstTouch.push(restore.firstTouch);
  extremes.gapMs = Math.max(extremes.gapMs, save.gapMs);
  extremes.extraBytes = Math.max(extremes.extraBytes, save.extraBytes);
  extremes.restoreGapMs = Math.max(extremes.restoreGapMs, restore.gapMs);
  extremes.restoreExtraBytes = Math.max(extremes.restoreExtraBytes, restore.extraBytes);
  log(
    `round ${round}: fio write ${rate(writeLimit.bytesPerSecond)}, save ${rate(bytes / save.seconds)} ` +
      `(${(save.cpuSeconds / (bytes / 1e9)).toFixed(3)} CPU s/GB, gap ${save.gapMs.toFixed(1)} ms, of it begin() ${save.beginMs.toFixed(1)} ms); ` +
      `fio read ${rate(readLimit.bytesPerSecond)}, restore ${rate(bytes / restore.seconds)}${cold ? '' : ' (cache not dropped)'} ` +
      `(${(restore.cpuSeconds / (bytes / 1e9)).toFixed(3)} CPU s/GB, gap ${restore.gapMs.toFixed(1)} ms)`,
  );
}
await manager.close();

const summary = {
  bytes,
  rounds,
  writeLimit: median(samples.writeLimit),
  save: median(samples.save),
  saveRatio: median(samples.save.map((value, index) => value / samples.writeLimit[index])),
  readLimit: median(samples.readLimit),
  restore: median(samples.restore),
  restoreRatio: median(samples.restore.map((value, index) => value / samples.readLimit[index])),
  firstTouch: median(samples.firstTouch),
  ...extremes,
  firstGapMs: first.gapMs,
  commands,
};
if (values.json) console.log(JSON.stringify({ ...summary, samples }, null, 2));
else {
  const MiB = (value) => `${(value / 2 ** 20).toFixed(0)} MiB`;
  console.log(`
median of ${rounds} rounds, ${(bytes / 2 ** 30).toFixed(2)} GiB, all bytes on the disk (fsync) before the clock stops
                 fio (direct, fsync)   tensor-checkpoint   ratio (pair by pair)
durable save     ${rate(summary.writeLimit).padEnd(21)} ${rate(summary.save).padEnd(19)} ${summary.saveRatio.toFixed(3)}
cold restore     ${rate(summary.readLimit).padEnd(21)} ${rate(summary.restore).padEnd(19)} ${summary.restoreRatio.toFixed(3)}
longest event-loop gap: save ${summary.gapMs.toFixed(1)} ms, restore ${summary.restoreGapMs.toFixed(1)} ms
first touch of fresh memory, one thread, before the restore: ${rate(summary.firstTouch)}
memory beside the tensors: save ${MiB(summary.extraBytes)}, restore ${MiB(summary.restoreExtraBytes)}
limit measured with: ${commands.write}`);
}

/** Forgets cached file pages, so that a restore reads from the disk. Needs root. */
function dropCaches() {
  try {
    execFileSync('sync');
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    return true;
  } catch {
    return false;
  }
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function rate(bytesPerSecond) {
  return `${(bytesPerSecond / 1e9).toFixed(2)} GB/s`;
}

function parseSize(text) {
  const match = /^(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB)?$/i.exec(text);
  if (!match) throw new Error(`--size takes a number with B, KiB, MiB or GiB, not ${text}`);
  const unit = { b: 1, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30 }[(match[2] ?? 'B').toLowerCase()];
  return Math.round(Number(match[1]) * unit);
}
