#!/usr/bin/env node
// Builds and runs the C++ benchmarks (native/**/*_bench.cc), optimized and without sanitizers. What each one measures and
// by which model stands at the top of its file.
//
//   node scripts/native-bench.mjs [NAME …] [-- ARGUMENTS]
//
// NAME is the file's without _bench.cc; without names all of them run. ARGUMENTS go to every benchmark that runs.

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const build = join(root, '.tmp', 'native-bench');
const separator = process.argv.indexOf('--');
const names = process.argv.slice(2, separator < 0 ? undefined : separator);
const rest = separator < 0 ? [] : process.argv.slice(separator + 1);

const known = readdirSync(join(root, 'native'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('_bench.cc'))
  .map((path) => basename(path, '_bench.cc'))
  .sort();
const unknown = names.find((name) => !known.includes(name));
if (unknown !== undefined) {
  console.error(`There is no benchmark '${unknown}': ${known.join(', ')}.`);
  process.exit(2);
}

function run(command, args, quiet) {
  const { status, error, stderr, stdout } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: quiet ? 'pipe' : 'inherit',
    maxBuffer: 1 << 28,
  });
  if (error) throw error;
  if (status === 0) return;
  if (quiet) console.error(stdout, stderr);
  process.exit(status ?? 1);
}

const chosen = names.length > 0 ? names : known;
run('cmake', ['-S', 'native', '-B', build, '-DCMAKE_BUILD_TYPE=Release', '-DCMAKE_CXX_FLAGS_RELEASE=-O3'], true);
run(
  'cmake',
  [
    '--build',
    build,
    '--parallel',
    String(availableParallelism()),
    '--target',
    ...chosen.map((name) => `${name}_bench`),
  ],
  true,
);
for (const name of chosen) {
  console.log(`\n== ${name}`);
  run(join(build, `${name}_bench`), rest, false);
}
