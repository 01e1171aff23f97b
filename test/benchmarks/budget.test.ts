import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { phasesIn } from '../../benchmarks/experiments/tax.js';
import { Budget } from '../../benchmarks/lib/budget.js';
import { Remembered } from '../../benchmarks/lib/remembered.js';
import { testDirectories } from '../support/directory.ts';

describe('a budget of time', () => {
  let clock = 0;
  const minutes = (number: number) => new Budget(number, () => clock);
  const taking = (seconds: number) => async () => {
    clock += seconds;
  };

  it('repeats while another repetition as long as the longest fits', async () => {
    expect(await minutes(1).repeat({ least: 1, most: 100 }, taking(14))).toBe(4);
    expect(await minutes(1).repeat({ least: 1, most: 3 }, taking(14))).toBe(3);
  });

  it('repeats as often as it must, whatever the time', async () => {
    const budget = minutes(1);
    expect(await budget.repeat({ least: 3, most: 7 }, taking(100))).toBe(3);
    expect(budget.left).toBe(-240);
    expect(await budget.share(0.5).repeat({ least: 1, most: 7 }, taking(1))).toBe(1);
  });

  it('can be shared out, and what one share leaves is for the next', async () => {
    const budget = minutes(3);
    await budget.share(1 / 3).repeat({ least: 1, most: 1 }, taking(20));
    expect(budget.share(1 / 2).left).toBe(80);
  });

  it('decides how many stretches of training there are, in whole groups', () => {
    expect(phasesIn(100, { seconds: 10, rounds: 7 })).toBe(8);
    expect(phasesIn(1e6, { seconds: 10, rounds: 7 })).toBe(16);
    expect(phasesIn(-5, { seconds: 10, rounds: 7 })).toBe(4);
  });
});

describe('what a search found', () => {
  const directoryOf = testDirectories();

  it('is found again in the same circumstances only, unless asked to search again', async () => {
    const directory = path.join(directoryOf(), 'new');
    let searches = 0;
    const search = async () => ++searches;
    const find = (disk: string, again = false) => new Remembered({ again, directory }).find({ disk }, search);
    expect((await find('a')).value).toBe(1);
    expect((await find('a')).value).toBe(1);
    expect((await find('b')).value).toBe(2);
    expect((await find('a', true)).value).toBe(3);
    expect((await find('a')).value).toBe(3);
  });

  it('is searched for again where the file is damaged, and where none can be written', async () => {
    const directory = directoryOf();
    writeFileSync(path.join(directory, 'benchmark.json'), '{"half');
    expect((await new Remembered({ directory }).find({}, async () => 5)).value).toBe(5);
    // A file where a directory should be.
    const blocked = path.join(directory, 'benchmark.json', 'sub');
    expect((await new Remembered({ directory: blocked }).find({}, async () => 6)).value).toBe(6);
  });
});
