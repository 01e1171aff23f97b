import { describe, expect, it } from 'vitest';
import { flushesOf, parseStrace, serialGroups } from '../../benchmarks/lib/flushes.js';

/** What strace -f -ttt -T writes, of the commit protocol as docs/durability.md has it. */
const trace = `
100 1.000000 openat(AT_FDCWD, "/d/ckpt-1.index", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0666) = 20 <0.0001>
100 1.100000 fsync(20) = 0 <0.010000>
101 2.000000 openat(AT_FDCWD, "/d/ckpt-2.data-00000-of-00001", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0666) = -1 EEXIST (File exists) <0.0001>
101 2.100000 openat(AT_FDCWD, "/d/ckpt-2.data-00000-of-00001", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0666) = 21 <0.0001>
101 2.200000 fdatasync(21 <unfinished ...>
102 2.201000 fdatasync(22) = 0 <0.005000>
101 2.203000 <... fdatasync resumed>) = 0 <0.003000>
103 2.300000 fsync(23) = 0 <0.002000>
103 2.310000 rename("/d/ckpt-2.index.tmp", "/d/ckpt-2.index") = 0 <0.0001>
103 2.320000 fsync(24) = 0 <0.002000>
103 2.330000 rename("/d/checkpoint.tmp", "/d/checkpoint") = 0 <0.0001>
103 2.340000 fsync(25) = 0 <0.002000>
103 2.400000 unlink("/d/ckpt-1.index") = 0 <0.0001>
103 2.410000 fsync(26) = 0 <0.002000>
104 9.000000 fsync(27 <unfinished ...>
+++ exited with 0 +++
`;

describe('flushes seen by strace', () => {
  it('of one save are counted from its first file to the flush that commits it, and no further', () => {
    expect(flushesOf(parseStrace(trace), 'ckpt-2')).toEqual({ calls: 5, serial: 4, renames: 2 });
  });

  it('say what is missing', () => {
    expect(() => flushesOf(parseStrace(trace), 'ckpt-9')).toThrow(/no file of ckpt-9/);
    expect(() => flushesOf(parseStrace(trace.replaceAll('/d/checkpoint"', '/d/x"')), 'ckpt-2')).toThrow(/state file/);
  });

  it('join the two halves of an interrupted call, and drop calls that never returned', () => {
    const calls = parseStrace(trace);
    const joined = calls.find(({ call, start }) => call === 'fdatasync' && start === 2.2)!;
    expect(joined.end).toBeCloseTo(2.203);
    expect(calls.some(({ start }) => start === 9)).toBe(false);
  });

  it('that overlap wait once, even through a third that bridges them', () => {
    expect(serialGroups([])).toBe(0);
    expect(
      serialGroups([
        { start: 0, end: 1 },
        { start: 1, end: 2 },
      ]),
    ).toBe(2);
    expect(
      serialGroups([
        { start: 0, end: 5 },
        { start: 1, end: 2 },
        { start: 4, end: 9 },
        { start: 9.5, end: 10 },
      ]),
    ).toBe(2);
  });
});
