// @ts-check
// Raw transfers: `depth` requests of `block` bytes under way at any time, spread over `files` files, past the page cache,
// flushed before the clock stops. Each block has the next place in `memory` bytes, which exist before and lie in huge
// pages. One order as an argument; or any number as messages, all with the same memory.
import { spawnSync } from 'node:child_process';
import { close, constants, open as openFile, read as readFile, write as writeFile } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { HostTensor } from 'tensor-checkpoint';
import { reply } from '../lib/reply.js';

/** @typedef {{ direction: 'write' | 'read', directory: string, block: number, depth: number, files: number, bytes: number, memory: number, durable: boolean }} Order */

const PIECE = 2 ** 30; // A typed array of Node 20 ends at 4 GiB.
const openRaw = promisify(openFile);
/** @type {Uint8Array[]} */
let pieces = [];

/** Places of `block` bytes in so much memory. @param {number} bytes @param {number} block */
function placesIn(bytes, block) {
  if (pieces.reduce((sum, { length }) => sum + length, 0) < bytes) {
    pieces = [];
    for (let left = bytes; left > 0; left -= PIECE) {
      const { bytes: piece } = HostTensor.allocate({ dtype: 'uint8', shape: [Math.min(left, PIECE)] });
      for (let at = 0; at < piece.length; at += 512) piece[at] = at & 255; // Touched, and no block of zeros.
      pieces.push(piece);
    }
  }
  const places = pieces.flatMap((piece) =>
    Array.from({ length: Math.floor(piece.length / block) }, (_, index) => ({ piece, offset: index * block })),
  );
  return places.slice(0, Math.floor(bytes / block));
}

/** @param {Order} order */
async function perform({ direction, directory, block, depth, files, bytes, memory, durable }) {
  const writing = direction === 'write';
  const paths = Array.from({ length: files }, (_, index) => path.join(directory, `data-${index}`));
  const places = placesIn(Math.max(memory, depth * block), block);
  if (writing) for (const file of paths) await rm(file, { force: true });
  const flags = writing ? constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL : constants.O_RDONLY;
  const descriptors = await Promise.all(paths.map((file) => openRaw(file, flags | constants.O_DIRECT, 0o644)));
  // As fio does before its clock starts; where the tool or the file system has no such thing, neither has fio.
  if (writing) for (const file of paths) spawnSync('fallocate', ['--length', String(bytes / files), file]);

  const blocks = bytes / block;
  let next = 0;
  const worker = () =>
    new Promise((resolve, reject) => {
      const step = () => {
        if (next === blocks) return resolve(undefined);
        const index = next++;
        const { piece, offset } = /** @type {typeof places[0]} */ (places[index % places.length]);
        // Neighbouring requests go to different files, so that all files grow at the same pace.
        const fd = /** @type {number} */ (descriptors[index % files]);
        const position = Math.floor(index / files) * block;
        const done = (/** @type {Error | null} */ error, /** @type {number} */ moved) => {
          if (error) reject(error);
          else if (moved !== block) reject(new Error(`${direction} moved ${moved} of ${block} bytes at ${position}`));
          else step();
        };
        if (writing) writeFile(fd, piece, offset, block, position, done);
        else readFile(fd, piece, offset, block, position, done);
      };
      step();
    });

  const handles = await Promise.all(paths.map((file) => open(file, 'r+')));
  const start = performance.now();
  await Promise.all(Array.from({ length: depth }, worker));
  if (writing && durable) await Promise.all(handles.map((handle) => handle.sync()));
  const seconds = (performance.now() - start) / 1000;
  await Promise.all(handles.map((handle) => handle.close()));
  await Promise.all(descriptors.map((fd) => promisify(close)(fd)));
  return { seconds };
}

if (process.send) {
  const send = process.send.bind(process);
  process.on('message', async (/** @type {Order & { op?: string }} */ order) => {
    if (order.op === 'end') return process.disconnect();
    try {
      send(await perform(order));
    } catch (error) {
      send({ error: error instanceof Error ? error.message : String(error) });
    }
  });
  process.on('disconnect', () => process.exit(0));
  send({ ready: true });
} else {
  reply(await perform(JSON.parse(process.argv[2] ?? '{}')));
}
