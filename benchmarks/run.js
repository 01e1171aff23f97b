#!/usr/bin/env node
// @ts-check
// `npm run bench -- DIR [options]`; --help tells the rest.
import { bench } from './instrument.js';
import { UsageError } from './lib/units.js';
import { parseOptions, usage } from './options.js';

try {
  const options = parseOptions(process.argv.slice(2));
  if (!options) {
    console.log(usage);
    process.exit(0);
  }
  // Standard output is for the report, or for the JSON alone; progress is for people who watch.
  const terminal = process.stderr.isTTY;
  const clear = () => terminal && process.stderr.write('\r\x1b[K');
  const report = options.json === '-' ? process.stderr : process.stdout;
  const all = await bench(options, {
    log: (text) => {
      clear();
      report.write(`${text}\n`);
    },
    progress: (text) => {
      if (!terminal) return;
      clear();
      process.stderr.write(`${text.slice(0, (process.stderr.columns ?? 80) - 2)} …`);
    },
  });
  clear();
  if (all.failed.length > 0) process.exitCode = 1;
  if (options.json === '-') process.stdout.write(`${JSON.stringify(all, null, 2)}\n`);
} catch (error) {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  if (error instanceof UsageError) {
    console.error(error.message);
    process.exit(2);
  }
  const { code } = /** @type {NodeJS.ErrnoException} */ (error);
  console.error(code === 'ENOSPC' ? 'The disk is full. Use a smaller --size or another directory.' : error);
  process.exit(1);
}
