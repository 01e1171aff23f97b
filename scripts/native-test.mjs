#!/usr/bin/env node
// Configures, builds and runs the C++ tests (native/**/*_test.cc).
//
//   node scripts/native-test.mjs [--sanitize=address|thread] [--filter=GTEST_FILTER] [--required]
//
// Without CMake, a compiler or GoogleTest the tests are skipped, which is said, and the exit status is 0; with
// --required it is 1. The report of a run without a sanitizer is <build directory>/report.json, in GoogleTest's format.

import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const SANITIZERS = { address: 'address,undefined', thread: 'thread' };

const { values: options } = parseArgs({
  options: {
    sanitize: { type: 'string' },
    filter: { type: 'string' },
    required: { type: 'boolean', default: false },
  },
});
if (options.sanitize !== undefined && !Object.hasOwn(SANITIZERS, options.sanitize)) {
  console.error(`--sanitize=${options.sanitize}: expected ${Object.keys(SANITIZERS).join(' or ')}`);
  process.exit(2);
}

const root = fileURLToPath(new URL('..', import.meta.url));
const sourceDirectory = join(root, 'native');
const buildDirectory = join(root, '.tmp', ['native-tests', options.sanitize].filter(Boolean).join('-'));
const report = join(buildDirectory, 'report.json');

/** Runs a command and returns its status and output; ENOENT is reported as `missing`. */
function run(command, args) {
  const result = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  return {
    missing: result.error?.code === 'ENOENT',
    ok: result.status === 0,
    output: `${result.stdout ?? ''}${result.stderr ?? ''}`,
    signal: result.signal,
  };
}

function skip(reason) {
  console.log(`C++ tests SKIPPED: ${reason}.`);
  process.exit(options.required ? 1 : 0);
}

function fail(what, { output, signal }) {
  if (output) console.error(output);
  console.error(`C++ tests FAILED: ${what}${signal ? ` (${signal})` : ''}.`);
  process.exit(1);
}

if (run('cmake', ['--version']).missing) skip('CMake was not found (Debian and Ubuntu: apt-get install cmake)');

mkdirSync(buildDirectory, { recursive: true });
// A report that an earlier run left must not pass for this one's.
rmSync(report, { force: true });

const configure = run('cmake', [
  '-S',
  sourceDirectory,
  '-B',
  buildDirectory,
  `-DTENSOR_CHECKPOINT_SANITIZE=${SANITIZERS[options.sanitize] ?? ''}`,
]);
if (!configure.ok) {
  if (/GoogleTest was not found/.test(configure.output)) {
    skip('GoogleTest was not found (Debian and Ubuntu: apt-get install libgtest-dev)');
  }
  if (/No CMAKE_CXX_COMPILER could be found|CMAKE_MAKE_PROGRAM is not set/.test(configure.output)) {
    skip('no C++ compiler or make was found (Debian and Ubuntu: apt-get install build-essential)');
  }
  fail('CMake could not configure the build', configure);
}

const build = run('cmake', ['--build', buildDirectory, '--parallel', String(availableParallelism())]);
if (!build.ok) fail('the tests do not compile', build);

// Under a sanitizer the tests take minutes: the processors share them. A report would be that of one part only.
const parts = options.sanitize === undefined ? 1 : availableParallelism();
const binary = join(buildDirectory, 'native_tests');
const environment = {
  UBSAN_OPTIONS: 'print_stacktrace=1',
  TSAN_OPTIONS: `suppressions=${join(sourceDirectory, 'tsan_suppressions.txt')}:allocator_may_return_null=1`,
  // Allocations that can't be served must fail as they do in production, not end the process.
  ASAN_OPTIONS: 'allocator_may_return_null=1:detect_stack_use_after_return=1',
};
const results = await Promise.all(Array.from({ length: parts }, (_, part) => runTests(part)));
const failed = results.find(({ ok }) => !ok);
if (failed) fail(`${relative(root, binary)} did not pass`, failed);

function runTests(part) {
  const args = ['--gtest_brief=1'];
  if (options.filter) args.push(`--gtest_filter=${options.filter}`);
  if (parts === 1) args.push(`--gtest_output=json:${report}`);
  const shard = { GTEST_TOTAL_SHARDS: String(parts), GTEST_SHARD_INDEX: String(part) };
  return new Promise((resolve) => {
    const tests = spawn(binary, args, {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, ...environment, ...(parts > 1 && shard) },
    });
    tests.on('error', (error) => resolve({ ok: false, output: error.message, signal: null }));
    tests.on('exit', (status, signal) => resolve({ ok: status === 0, output: '', signal }));
  });
}
