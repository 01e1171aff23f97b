// @ts-check
// What a figure belongs to: processor, memory, kernel, file system and disk, versions.
import { execFileSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { engineInfo } from 'tensor-checkpoint';

/** @param {string} file */
export function readText(file) {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return null;
  }
}

/** @param {string} directory */
export function machineFacts(directory) {
  const cpus = os.cpus();
  return {
    date: new Date().toISOString(),
    cpu: cpus[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    kernel: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    package: JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version,
    commit: commit(),
    engine: engineInfo(),
    hugePages: readText('/sys/kernel/mm/transparent_hugepage/enabled')?.match(/\[(\w+)\]/)?.[1] ?? 'unknown',
    fileSystem: fileSystemOf(directory),
    load: os.loadavg().map((value) => Math.round(value * 100) / 100),
  };
}

/** @typedef {ReturnType<typeof machineFacts>} MachineFacts */

/** @param {MachineFacts} facts */
export function describeMachine(facts) {
  const { fileSystem: fs } = facts;
  return (
    `${facts.cpu}, ${facts.cores} cores, ${(facts.memoryBytes / 2 ** 30).toFixed(0)} GiB, ${facts.kernel}, ` +
    `${fs.type} on ${fs.device}${fs.model ? ` (${fs.model})` : ''}, Node ${facts.node}, CRC-32C ${facts.engine.checksum}, ` +
    `tensor-checkpoint ${facts.package}${facts.commit ? ` (${facts.commit})` : ''}`
  );
}

/** A warning for a machine whose figures won't tell much. @param {MachineFacts} facts */
export function loadWarning(facts) {
  const load = facts.load[0] ?? 0;
  return load > facts.cores * 0.25
    ? `The machine is busy (load ${load} on ${facts.cores} cores): other work is part of every figure below.`
    : null;
}

/** The mount that holds a path: the longest mount point that leads to it. @param {string} directory */
export function fileSystemOf(directory) {
  const resolved = realpathSync(directory);
  let found = { type: 'unknown', device: 'unknown', mount: '', options: '' };
  for (const line of (readText('/proc/self/mounts') ?? '').split('\n')) {
    const [device = '', mount = '', type = '', options = ''] = line.split(' ').map(unescapeMount);
    const inside = mount === '/' || resolved === mount || resolved.startsWith(`${mount}/`);
    if (inside && mount.length >= found.mount.length) found = { type, device, mount, options };
  }
  const disk = path.basename(found.device).replace(/(?<=\d)p\d+$|(?<=^[shv]d[a-z]+)\d+$/, '');
  const queue = `/sys/block/${disk}/queue`;
  return {
    ...found,
    model: readText(`/sys/block/${disk}/device/model`),
    scheduler: readText(`${queue}/scheduler`)?.match(/\[([\w-]+)\]/)?.[1] ?? null,
    logicalBlock: Number(readText(`${queue}/logical_block_size`)) || null,
    maxRequestBytes: (Number(readText(`${queue}/max_sectors_kb`)) || 0) * 1024 || null,
    maxSegments: Number(readText(`${queue}/max_segments`)) || null,
  };
}

/** @param {string} text */
function unescapeMount(text) {
  return text.replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Bytes that new memory can have without swapping, by the system and by the control group that this process is in. */
export function availableMemory() {
  return process.availableMemory();
}

function commit() {
  try {
    const cwd = new URL('../..', import.meta.url);
    const git = (/** @type {string[]} */ ...args) =>
      execFileSync('git', args, { cwd, encoding: 'utf8', stdio: 'pipe' }).trim();
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '--untracked-files=no') ? ' + changes' : ''}`;
  } catch {
    return null; // An installed package is no repository.
  }
}
