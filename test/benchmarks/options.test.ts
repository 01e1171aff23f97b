import { describe, expect, it } from 'vitest';
import { layoutBytes, layoutNames, layoutTensors, makeLayout } from '../../benchmarks/lib/layouts.js';
import { UsageError } from '../../benchmarks/lib/units.js';
import { commandOf, parseOptions } from '../../benchmarks/options.js';

describe('the command line', () => {
  it('needs nothing but a directory', () => {
    expect(parseOptions(['/data'])).toMatchObject({
      directory: '/data',
      experiments: ['throughput'],
      size: 4 * 2 ** 30,
      search: 2 ** 29,
      searchAgain: false,
      minutes: undefined,
      rounds: 7,
      peerRounds: 7,
      durable: true,
      write: {},
      peers: 'auto',
      mtbf: 86400,
    });
  });

  it('hands on what belongs to a save, and only that', () => {
    const options = parseOptions(['/data', 'tax', '--shards', '2', '--threads=4', '--no-durable', '--env', 'A=b=c']);
    expect(options).toMatchObject({
      experiments: ['tax'],
      write: { shards: 2, threads: 4, durable: false },
      read: { threads: 4 },
      durable: false,
      env: { A: 'b=c' },
    });
  });

  it('knows "all", lists without repetitions, and help', () => {
    expect(parseOptions(['/d', 'all'])?.experiments).toHaveLength(7);
    expect(parseOptions(['/d', '--layout', 'one,small,one'])?.layouts).toEqual(['one', 'small']);
    expect(parseOptions(['--help'])).toBeNull();
  });

  it('can be written down again, without the places of this machine', () => {
    const places = ['--json', '/home/me/x.json', '--charts=/home/me/charts', '--python', '/usr/bin/python3'];
    const argv = ['tax', 'all', ...places, '--search-again', '--no-durable', '--layout', 'small', '--size=1GiB'];
    expect(commandOf(parseOptions(['/home/me/data', ...argv])!.argv)).toBe(
      'npm run bench -- DIR tax all --no-durable --layout small --size=1GiB',
    );
    expect(commandOf(argv, 'series')).toBe('npm run bench -- DIR series --no-durable --layout small --size=1GiB');
    expect(commandOf(['all'], 'throughput')).toBe('npm run bench -- DIR');
  });

  it.each([
    [[], /Name a directory/],
    [['/d', '--sise', '1GiB'], /sise/],
    [['/d', 'speed'], /throughput or layouts or series/],
    [['/d', '--size', 'big'], /--size takes a size/],
    [['/d', '--rounds', '0'], /--rounds takes a whole number from 1/],
    [['/d', '--minutes', 'few'], /--minutes takes a whole number from 1/],
    [['/d', '--layout', 'huge'], /--layout takes/],
    [['/d', '--peers', 'keras'], /--peers takes/],
    [['/d', '--env', 'A'], /NAME=VALUE/],
    [['/d', '--state', 'tfjs', '--layout', 'llama8b'], /bfloat16/],
    [['/d', '--mtbf', 'often'], /--mtbf takes a time/],
  ])('%j is refused with a message', (argv, message) => {
    expect(() => parseOptions(argv)).toThrow(UsageError);
    expect(() => parseOptions(argv)).toThrow(message);
  });
});

describe('layouts', () => {
  it.each(layoutNames.filter((name) => name !== 'small'))('%s is about as large as asked, at any size', (name) => {
    for (const size of [32 * 2 ** 20, 2 ** 30, 4 * 2 ** 30, 16 * 2 ** 30]) {
      const bytes = layoutBytes(makeLayout(name, size));
      expect(bytes / size).toBeGreaterThan(0.9);
      expect(bytes / size).toBeLessThan(1.1);
    }
  });

  it('standard at 4 GiB is the layout that all figures are about', () => {
    const { groups } = makeLayout('standard', 40 * 96 * 2 ** 20 + 256 * 2 ** 20 + 1000 * 4096);
    expect(groups.map(({ count, bytes }) => [count, bytes])).toEqual([
      [40, 96 * 2 ** 20],
      [256, 2 ** 20],
      [1000, 4096],
    ]);
  });

  it('llama8b has four tensors for each of the 291 of the model, and says by how much they are smaller', () => {
    const layout = makeLayout('llama8b', 4 * 2 ** 30);
    expect(layoutTensors(layout)).toBe(4 * 291);
    expect(layout.about).toMatch(/112 GB\) in tensors 26\.\d times smaller/);
  });

  it('unaligned has no tensor that ends where a block ends, and whole elements', () => {
    for (const { bytes } of makeLayout('unaligned', 2 ** 30).groups) {
      expect(bytes % 512).not.toBe(0);
      expect(bytes % 4).toBe(0);
    }
  });
});
