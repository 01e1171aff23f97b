import { describe, expect, it } from 'vitest';
import { fasterTool } from '../../benchmarks/limit/faster-tool.js';

const setting = { block: 4096, depth: 1, files: 1, memory: 'state' as const };
const figure = (engine: string, bytesPerSecond: number) => ({
  setting: { ...setting, engine },
  seconds: 1,
  bytesPerSecond,
  command: engine,
});

describe('the limit of a disk over several rounds', () => {
  it('is the tool with the higher median, in every round, also where the other was faster', () => {
    const rounds = [
      [figure('raw', 3), figure('libaio', 9)],
      [figure('raw', 5), figure('libaio', 4)],
      [figure('raw', 6), figure('libaio', 4)],
    ];
    expect(fasterTool(rounds).map(({ bytesPerSecond }) => bytesPerSecond)).toEqual([3, 5, 6]);
    expect(fasterTool(rounds.map((round) => round.toReversed())).map(({ command }) => command)).toEqual([
      'raw',
      'raw',
      'raw',
    ]);
  });

  it('is the only tool there is, or the only one that measured every round', () => {
    expect(fasterTool([[figure('libaio', 4)], [figure('libaio', 2)]]).map((one) => one.bytesPerSecond)).toEqual([4, 2]);
    const partly = [[figure('raw', 9), figure('libaio', 1)], [figure('libaio', 2)]];
    expect(fasterTool(partly).map((one) => one.bytesPerSecond)).toEqual([1, 2]);
  });

  it('cannot be told where no tool measured every round', () => {
    expect(() => fasterTool([[figure('raw', 9)], [figure('libaio', 1)]])).toThrow(/every round/);
  });
});
