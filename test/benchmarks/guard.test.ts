import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { compare, passes } from '../../benchmarks/guard/compare.js';
import { countCalls, perCall } from '../../benchmarks/guard/measure.js';
import { answerIn } from '../../benchmarks/lib/reply.js';
import { testDirectories } from '../support/directory.ts';

const expected = (value: number, tolerance = 0.05) => ({ value, tolerance, unit: 'a save' });
const found = (value: number) => ({ value, unit: 'a save' });
const strict = { required: true, skipped: {} };
const verdict = (baseline: ReturnType<typeof expected>, value: number) =>
  compare({ m: baseline }, { m: found(value) })[0]!;

describe('the guard', () => {
  it('passes what stays within its tolerance, and nothing beyond', () => {
    expect(verdict(expected(100), 105).kind).toBe('same');
    expect(verdict(expected(100), 106).kind).toBe('worse');
    expect(passes([verdict(expected(100), 105)], strict)).toBe(true);
    expect(passes([verdict(expected(100), 106)], strict)).toBe(false);
  });

  it('fails on a single flush more than the protocol has', () => {
    expect(passes([verdict(expected(10, 0), 11)], strict)).toBe(false);
    expect(passes([verdict(expected(10, 0), 10)], strict)).toBe(true);
  });

  it('fails on the first copy where none was made', () => {
    expect(verdict(expected(0, 0.001), 0).kind).toBe('same');
    expect(verdict(expected(0, 0.001), 1e-6).kind).toBe('worse');
  });

  it('fails on what is no number', () => {
    expect(verdict(expected(1), Number.NaN).kind).toBe('worse');
  });

  it('lets what became better pass, and says so', () => {
    expect(verdict(expected(100), 50)).toMatchObject({ kind: 'better', text: expect.stringContaining('-50.0 %') });
    expect(passes([verdict(expected(100), 50)], strict)).toBe(true);
  });

  it('fails on a metric that has silently gone, and on one that nobody has put into the baseline', () => {
    expect(passes(compare({ m: expected(1) }, {}), { required: false, skipped: {} })).toBe(false);
    expect(passes(compare({}, { m: found(1) }), strict)).toBe(false);
  });

  it('leaves out metrics whose tool is missing, aloud, unless they are required', () => {
    const skipped = { 'calls.': 'strace is not installed' };
    const verdicts = compare({ 'calls.save': expected(1) }, {}, skipped);
    expect(verdicts[0]!.text).toMatch(/strace/);
    expect(passes(verdicts, { required: false, skipped })).toBe(true);
    expect(passes(verdicts, { required: true, skipped })).toBe(false);
  });
});

describe('system calls', () => {
  const trace = `
10 openat(AT_FDCWD, "/w/ckpt-1.index", O_RDWR|O_CREAT) = 20</w/ckpt-1.index>
10 openat(AT_FDCWD, "/proc/sys/vm/overcommit_memory", O_RDONLY) = 21</proc/sys/vm/overcommit_memory>
11 pwrite64(20</w/ckpt-1.index>, "..."..., 4096, 0 <unfinished ...>
12 fdatasync(20</w/ckpt-1.index>) = 0
11 <... pwrite64 resumed>) = 4096
12 openat(AT_FDCWD, "/w/ckpt-2.index", O_RDONLY) = -1 ENOENT (No such file or directory)
13 io_uring_enter(5<anon_inode:[io_uring]>, 1, 0, 0, NULL, 8) = 1
+++ exited with 0 +++
`;

  it('are counted once each, failed and interrupted ones included, and only those on our own files', () => {
    expect(countCalls(trace, '/w')).toEqual({ openat: 2, pwrite64: 1, fdatasync: 1, io_uring_enter: 1 });
  });

  it('that starting the process makes fall out of the difference', () => {
    expect(perCall({ openat: 30, pwrite64: 5 }, { openat: 42, pwrite64: 5, fsync: 9 }, 3)).toEqual({
      openat: 4,
      fsync: 3,
    });
  });
});

describe('the baseline', () => {
  const baseline = JSON.parse(readFileSync(new URL('../../benchmarks/guard/baseline.json', import.meta.url), 'utf8'));

  it('guards instructions, system calls, allocations, copies and flushes', () => {
    for (const kind of ['instructions.', 'calls.', 'native.allocations.', 'heap.', 'copied.', 'flushes.']) {
      expect(
        Object.keys(baseline).some((metric) => metric.startsWith(kind)),
        kind,
      ).toBe(true);
    }
  });

  it('would notice a save that copies what it need not', () => {
    const metric = 'copied.save.large';
    expect(compare({ [metric]: baseline[metric] }, { [metric]: found(1) })[0]!.kind).toBe('worse');
  });
});

const root = fileURLToPath(new URL('../..', import.meta.url));
const built = existsSync(path.join(root, 'dist/index.js'));
if (!built) console.warn("tests of the guard's workload SKIPPED: dist/ is missing (npm run build:ts)");
const directoryOf = testDirectories();

describe.skipIf(!built)("the guard's workload", () => {
  const count = (times: number) => {
    const script = path.join(root, 'benchmarks/guard/workload.js');
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ['--expose-gc', script, directoryOf(), 'save', 'small', String(times)],
      { encoding: 'utf8' },
    );
    expect(stderr).toBe('');
    return answerIn(stdout);
  };

  it('counts the same in every run, in proportion to the saves', () => {
    const [one, two, again] = [count(1), count(2), count(2)];
    expect(two.syncs).toBe(2 * one.syncs);
    expect(two.bytesCopied).toBe(2 * one.bytesCopied);
    expect([again.syncs, again.bytesCopied]).toEqual([two.syncs, two.bytesCopied]);
    expect(one.syncs).toBeGreaterThan(0);
  });
});
