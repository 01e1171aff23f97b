// @ts-check
// Reads or writes files the ordinary way, through the page cache, as most libraries do: `read FILE`, or
// `write FILE BYTES TIMES`, which holds as much memory as it writes, as whoever saves a state does: written anew each time,
// flushed, and at last read, as by a restore.
import { closeSync, fsyncSync, openSync, readSync, rmSync, writeSync } from 'node:fs';

const CHUNK = 4 * 2 ** 20;
const [what, file = '', size, times] = process.argv.slice(2);
const buffer = Buffer.alloc(CHUNK, 0x5a);

if (what === 'write') {
  const held = [];
  for (let left = Number(size); left > 0; left -= CHUNK) held.push(Buffer.alloc(Math.min(CHUNK, left), 0x5a));
  for (let time = 0; time < Number(times); time++) {
    rmSync(file, { force: true });
    const fd = openSync(file, 'wx');
    for (const part of held) writeSync(fd, part);
    fsyncSync(fd);
    closeSync(fd);
  }
}
const fd = openSync(file, 'r');
while (readSync(fd, buffer) > 0);
closeSync(fd);
