// `npm test`: the TypeScript tests (vitest) and the C++ tests (GoogleTest, where it is installed), one closing line.
// Arguments go to vitest: `npm test -- test/bundle`; the C++ tests then don't run.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const reports = fileURLToPath(new URL('../.tmp/test-reports/', import.meta.url));
const vitestReport = `${reports}vitest.json`;
const nativeReport = fileURLToPath(new URL('../.tmp/native-tests/report.json', import.meta.url));
const filters = process.argv.slice(2);

mkdirSync(reports, { recursive: true });
for (const file of [vitestReport, nativeReport]) rmSync(file, { force: true });

const run = (command, args) => spawnSync(command, args, { cwd: root, stdio: 'inherit' }).status ?? 1;

const totals = { passed: 0, failed: 0, skipped: 0 };
let failed = false;

if (filters.length === 0) failed = run(process.execPath, ['scripts/native-test.mjs']) !== 0;
const native = readJson(nativeReport);
if (native) {
  totals.passed += native.tests - native.failures - (native.disabled ?? 0);
  totals.failed += native.failures;
}

const vitestArgs = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=default', '--reporter=json'];
if (run(process.execPath, [...vitestArgs, `--outputFile.json=${vitestReport}`, ...filters]) !== 0) failed = true;
const vitest = readJson(vitestReport);
if (vitest) {
  totals.passed += vitest.numPassedTests;
  totals.failed += vitest.numFailedTests;
  totals.skipped += vitest.numPendingTests + (vitest.numTodoTests ?? 0);
} else {
  failed = true;
}

// A suite that could not even be loaded has no failed test to count, but it is a failure all the same.
if (failed && totals.failed === 0) totals.failed = 1;
const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : '';
console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`);
process.exit(totals.failed > 0 ? 1 : 0);

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}
