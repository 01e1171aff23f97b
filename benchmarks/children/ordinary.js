// @ts-check
// Reads or writes a file the ordinary way, through the page cache, as most libraries do: `read FILE`, or
// `write FILE BYTES` (flushed, then read again, as a save and a restore would).
import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';

const CHUNK = 4 * 2 ** 20;
const [what, file = '', size] = process.argv.slice(2);
const buffer = Buffer.alloc(CHUNK, 0x5a);

if (what === 'write') {
  const fd = openSync(file, 'w');
  for (let left = Number(size); left > 0; left -= CHUNK) writeSync(fd, buffer, 0, Math.min(CHUNK, left));
  fsyncSync(fd);
  closeSync(fd);
}
const fd = openSync(file, 'r');
while (readSync(fd, buffer) > 0);
closeSync(fd);
