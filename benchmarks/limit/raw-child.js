// @ts-check
// One raw transfer: `depth` requests of `block` bytes under way at any time, spread over `files` files, past the page
// cache, flushed before the clock stops.
import { spawnSync } from 'node:child_process';
import { constants, open as openFile, read as readFile, write as writeFile } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { HostTensor } from 'tensor-checkpoint';
import { reply } from '../lib/reply.js';

const order = JSON.parse(process.argv[2] ?? '{}');
const { direction, directory, block, depth, files, bytes, durable } = order;
const writing = direction === 'write';
const perFile = bytes / files;
const paths = Array.from({ length: files }, (_, index) => path.join(directory, `raw-${index}`));

const openRaw = promisify(openFile);
const flags =
  (writing ? constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL : constants.O_RDONLY) | constants.O_DIRECT;
if (writing) for (const file of paths) await rm(file, { force: true });
const descriptors = await Promise.all(paths.map((file) => openRaw(file, flags, 0o644)));
// As fio does before its clock starts; where the tool or the file system has no such thing, neither has fio.
if (writing) for (const file of paths) spawnSync('fallocate', ['--length', String(perFile), file]);

const slots = Array.from({ length: depth }, () => {
  const { bytes: memory } = HostTensor.allocate({ dtype: 'uint8', shape: [block] });
  for (let at = 0; at < block; at += 512) memory[at] = at & 255; // Touched, and no block of zeros.
  return memory;
});

const blocks = bytes / block;
let next = 0;

/** @param {Uint8Array} memory */
function worker(memory) {
  return new Promise((resolve, reject) => {
    const step = () => {
      if (next === blocks) return resolve(undefined);
      const index = next++;
      // Neighbouring requests go to different files, so that all files grow at the same pace.
      const fd = /** @type {number} */ (descriptors[index % files]);
      const offset = Math.floor(index / files) * block;
      const done = (/** @type {Error | null} */ error, /** @type {number} */ moved) => {
        if (error) reject(error);
        else if (moved !== block) reject(new Error(`${direction} moved ${moved} of ${block} bytes at ${offset}`));
        else step();
      };
      if (writing) writeFile(fd, memory, 0, block, offset, done);
      else readFile(fd, memory, 0, block, offset, done);
    };
    step();
  });
}

const start = performance.now();
await Promise.all(slots.map(worker));
if (writing && durable) {
  const handles = await Promise.all(paths.map((file) => open(file, 'r+')));
  await Promise.all(handles.map((handle) => handle.sync()));
  await Promise.all(handles.map((handle) => handle.close()));
}
reply({ seconds: (performance.now() - start) / 1000 });
