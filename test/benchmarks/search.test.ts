import { describe, expect, it } from 'vitest';
import { fioArguments, fioSeconds, movedBytes } from '../../benchmarks/limit/fio.js';
import { coordinateSearch, describeSetting } from '../../benchmarks/limit/search.js';

const start = { engine: 'raw', block: 4, depth: 8, files: 1 };

describe('the search for the best setting', () => {
  it('finds the peak of a landscape whose axes depend on one another, and tries nothing twice', async () => {
    const tried: string[] = [];
    const measure = async ({ block, depth, files }: typeof start) => {
      tried.push(`${block} ${depth} ${files}`);
      return 100 - Math.abs(Math.log2((block * depth) / 64)) * 10 - Math.abs(files - 4);
    };
    const choices = { block: [1, 4, 16], depth: [1, 4, 8, 16], files: [1, 4, 8] };
    const [best] = await coordinateSearch(choices, start, measure);
    expect(best!.setting.files).toBe(4);
    expect(best!.setting.block * best!.setting.depth).toBe(64);
    expect(new Set(tried).size).toBe(tried.length);
  });

  it('leaves out what is impossible, and returns the best first', async () => {
    const found = await coordinateSearch(
      { block: [1, 2, 3] },
      { ...start, block: 1 },
      async ({ block }) => block,
      ({ block }) => block < 3,
    );
    expect(found.map(({ setting }) => setting.block)).toEqual([2, 1]);
  });
});

describe('fio', () => {
  const setting = { engine: 'io_uring', block: 2 ** 20, depth: 8, files: 4 };

  it('is asked for direct I/O, a flush, huge pages, and one job a file', () => {
    const args = fioArguments('write', '/d', 64 * 2 ** 20, setting, true);
    expect(args).toEqual(expect.arrayContaining(['--direct=1', '--end_fsync=1', '--iomem_align=2m', '--iodepth=2']));
    expect(args.filter((arg) => arg.startsWith('--filename='))).toHaveLength(4);
    expect(args).toContain(`--size=${16 * 2 ** 20}`);
    expect(fioArguments('write', '/d', 2 ** 26, setting, false)).toContain('--end_fsync=0');
  });

  it('is credited with the bytes that it moves, and with the time until its last job has flushed', () => {
    expect(movedBytes(10 * 2 ** 20, { ...setting, files: 4 })).toBe(8 * 2 ** 20);
    const output = `note: something\n${JSON.stringify({ jobs: [{ job_runtime: 1200 }, { job_runtime: 1500 }] })}`;
    expect(fioSeconds(output)).toBe(1.5);
    expect(() => fioSeconds('{"jobs":[{"job_runtime":0}]}')).toThrow(/no run time/);
  });

  it('settings are told as people say them', () => {
    expect(describeSetting(setting)).toBe('fio io_uring, 1 MiB × 8, 4 files');
    expect(describeSetting({ ...setting, engine: 'raw', block: 262144, files: 1 })).toBe('raw, 256 KiB × 8, 1 file');
  });
});
