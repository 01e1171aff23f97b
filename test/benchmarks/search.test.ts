import { describe, expect, it } from 'vitest';
import { fioArguments, fioSeconds } from '../../benchmarks/limit/fio.js';
import { coordinateSearch, searchSettings } from '../../benchmarks/limit/search.js';
import { describeSetting, fitted, memoryOf, movedBytes } from '../../benchmarks/limit/setting.js';

const start = { engine: 'raw', block: 4, depth: 8, files: 1, memory: 'few' as const };

describe('the search for the best setting', () => {
  it('finds the peak of a landscape whose axes depend on one another, and tries nothing twice', async () => {
    const tried: string[] = [];
    const measure = async ({ block, depth, files }: Pick<typeof start, 'block' | 'depth' | 'files'>) => {
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

describe('the races', () => {
  const measure = async ({ engine, memory }: { engine: string; memory: string }) =>
    memory === 'few' ? 9 : engine === 'raw' ? 5 : 4;

  it('are run for fio and for the raw program with memory like the state, and for fio with a few buffers', async () => {
    const { state, few } = await searchSettings(['io_uring', 'libaio', 'raw'], 2 ** 29, measure);
    expect(state[0]!.setting.engine).toBe('raw');
    expect(new Set(state.map(({ setting }) => setting.engine))).toEqual(new Set(['raw', 'io_uring', 'libaio']));
    expect(state.every(({ setting }) => setting.memory === 'state')).toBe(true);
    expect(few.every(({ setting }) => setting.memory === 'few' && setting.engine !== 'raw')).toBe(true);
  });

  it('are all run by the raw program where there is no fio', async () => {
    const { state, few } = await searchSettings(['raw'], 2 ** 20, measure);
    expect([...state, ...few].every(({ setting }) => setting.engine === 'raw')).toBe(true);
    expect(few[0]!.bytesPerSecond).toBe(9);
  });
});

describe('the memory that is moved from or into', () => {
  const setting = { engine: 'raw', block: 2 ** 22, depth: 8, files: 1 };

  it('is as large as the state, or a buffer a request', () => {
    expect(memoryOf(2 ** 30 + 5, { ...setting, memory: 'state' })).toBe(2 ** 30);
    expect(memoryOf(2 ** 34, { ...setting, memory: 'state' })).toBe(2 ** 32);
    expect(memoryOf(2 ** 30, { ...setting, memory: 'few' })).toBe(8 * 2 ** 22);
  });

  it('fits a state that is smaller than a block in every file', () => {
    const large = { ...setting, files: 4, memory: 'state' as const };
    expect(fitted(2 ** 24, large)).toBe(large);
    expect(fitted(3 * 2 ** 20, large)).toMatchObject({ files: 1, block: 2 ** 21 });
    expect(movedBytes(3 * 2 ** 20, fitted(3 * 2 ** 20, large))).toBe(2 ** 21);
  });
});

describe('fio', () => {
  const setting = { engine: 'io_uring', block: 2 ** 20, depth: 8, files: 4, memory: 'few' as const };

  it('is asked for direct I/O, a flush, huge pages, and one job a file', () => {
    const args = fioArguments('write', '/d', 64 * 2 ** 20, setting, true);
    expect(args).toEqual(expect.arrayContaining(['--direct=1', '--end_fsync=1', '--iomem_align=2m', '--iodepth=2']));
    expect(args.filter((arg) => arg.startsWith('--filename='))).toHaveLength(4);
    expect(args).toContain(`--size=${16 * 2 ** 20}`);
    expect(fioArguments('write', '/d', 2 ** 26, setting, false)).toContain('--end_fsync=0');
  });

  it('gets a buffer for every block where it shall move a whole state, and only reads all the same', () => {
    const args = fioArguments('read', '/d', 64 * 2 ** 20, { ...setting, files: 1, memory: 'state' }, true);
    expect(args).toEqual(expect.arrayContaining(['--iodepth=64', '--rw=rw', '--rwmixread=100']));
    expect(fioArguments('read', '/d', 64 * 2 ** 20, setting, true)).toContain('--rw=read');
    // One job, because the clocks of several start when each has filled its own buffers.
    const four = fioArguments('read', '/a:b', 64 * 2 ** 20, { ...setting, memory: 'state' }, true);
    expect(four.filter((arg) => arg.startsWith('--filename='))).toEqual([
      `--filename=${[0, 1, 2, 3].map((file) => `/a\\:b/data-${file}`).join(':')}`,
    ]);
    expect(four).toContain(`--size=${64 * 2 ** 20}`);
  });

  it('is credited with the bytes that it moves, and with the time until its last job has flushed', () => {
    expect(movedBytes(10 * 2 ** 20, { ...setting, files: 4 })).toBe(8 * 2 ** 20);
    const job = (job_runtime: number) => ({ job_runtime, read: { io_bytes: 4 }, write: { io_bytes: 0 } });
    const output = (...jobs: object[]) => `note: something\n${JSON.stringify({ jobs })}`;
    expect(fioSeconds(output(job(1200), job(1500)), 'read', 8)).toBe(1.5);
    expect(() => fioSeconds(output(job(0)), 'read', 4)).toThrow(/no run time/);
    // A mixture that should only have read.
    expect(() => fioSeconds(output(job(1200)), 'read', 8)).toThrow(/moved 4 bytes/);
  });

  it('settings are told as people say them', () => {
    expect(describeSetting(setting)).toBe('fio io_uring, 1 MiB × 8, 4 files, a few buffers used over and over');
    expect(describeSetting({ ...setting, engine: 'raw', block: 262144, files: 1, memory: 'state' })).toBe(
      "raw program, 256 KiB × 8, 1 file, memory of the state's size",
    );
  });
});
