#!/usr/bin/env node
// Cross-compiles everything native but the binding for 64-bit ARM, and runs the tests of what differs there — checksums,
// and the base and scheduling they are used with — under an emulator.
//
//   node scripts/arm-test.mjs [--filter=GTEST_FILTER] [--required]
//
// Without the tools the tests are skipped, which is said, and the exit status is 0; with --required it is 1.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: { filter: { type: 'string' }, required: { type: 'boolean', default: false } },
});

const root = fileURLToPath(new URL('..', import.meta.url));
const build = join(root, '.tmp', 'arm-tests');
const compiler = 'aarch64-linux-gnu-g++';
const emulator = 'qemu-aarch64-static';
const googletest = '/usr/src/googletest/googletest';
const packages = 'g++-aarch64-linux-gnu qemu-user-static googletest';

function skip(reason) {
  console.log(`ARM tests SKIPPED: ${reason} (Debian and Ubuntu: apt-get install ${packages}).`);
  process.exit(options.required ? 1 : 0);
}

const missing = (command) => spawnSync(command, ['--version']).error?.code === 'ENOENT';
if (missing(compiler)) skip(`the cross compiler ${compiler} was not found`);
if (missing(emulator)) skip(`the emulator ${emulator} was not found`);
if (!existsSync(googletest)) skip('the sources of GoogleTest were not found');

const underNative = (folder, keep) =>
  readdirSync(join(root, 'native', folder))
    .filter((name) => name.endsWith('.cc') && keep(name))
    .map((name) => join('native', folder, name));
const isTest = (name) => name.endsWith('_test.cc');
const sources = [
  ...['base', 'checksum', 'io', 'pipeline', 'device'].flatMap((folder) =>
    underNative(folder, (name) => !/_(test|bench)\.cc$/.test(name)),
  ),
  ...underNative('checksum', isTest),
  'native/pipeline/scheduler_test.cc',
  'native/pipeline/plan_test.cc',
].filter((path) => existsSync(join(root, path)));
const objects = sources.map((path) => ({ path: join(root, path), object: join(build, `${basename(path, '.cc')}.o`) }));
for (const name of ['gtest-all.cc', 'gtest_main.cc']) {
  objects.push({ path: join(googletest, 'src', name), object: join(build, name.replace('.cc', '.o')) });
}

// `make` rebuilds only what changed, in parallel.
mkdirSync(build, { recursive: true });
const flags = `-std=c++20 -O2 -MMD -Wall -Wextra -Wno-missing-field-initializers -I${join(root, 'native')} -I${googletest} -isystem ${googletest}/include`;
const rules = [
  `${join(build, 'arm_tests')}: ${objects.map(({ object }) => object).join(' ')}\n\t${compiler} -o $@ $^ -pthread -ldl`,
  ...objects.map(({ path, object }) => `${object}: ${path}\n\t${compiler} ${flags} -c -o $@ $<`),
  `-include ${join(build, '*.d')}`,
];
const make = spawnSync('make', ['-s', `-j${availableParallelism()}`, '-f', '-'], {
  input: `${rules.join('\n')}\n`,
  encoding: 'utf8',
  stdio: ['pipe', 'inherit', 'inherit'],
});
if (make.error?.code === 'ENOENT') skip('make was not found');
if (make.status !== 0) {
  console.error('ARM tests FAILED: they do not compile.');
  process.exit(1);
}
const { status, signal, stdout } = spawnSync(
  emulator,
  [
    ...['-L', '/usr/aarch64-linux-gnu', '-cpu', 'max', join(build, 'arm_tests'), '--gtest_brief=1'],
    ...(options.filter ? [`--gtest_filter=${options.filter}`] : []),
  ],
  { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 },
);
process.stdout.write(stdout);
if (status !== 0) {
  console.error(`ARM tests FAILED${signal ? ` (${signal})` : ''}.`);
  process.exit(1);
}
// The emulated processor has every extension: a test that skips itself there would never run at all.
if (/skipped/i.test(stdout)) {
  console.error('ARM tests FAILED: some were skipped on a processor that has what they need.');
  process.exit(1);
}
