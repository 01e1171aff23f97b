import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type Give, handOver } from '../../src/checkpoint/hand-over.ts';
import { ShortTurns } from '../../src/steps.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';

const value = () => HostTensor.allocate({ dtype: 'float32', shape: [] });

/** Values that tell in `log` what is done with them; `failing` throws as it is assigned. */
function staged(count: number, log: string[], failing?: number): Give[] {
  return Array.from({ length: count }, (_, i) => ({
    value: value(),
    to: {
      stage() {
        log.push(`stage ${i}`);
        return {
          assign() {
            if (i === failing) throw new Error(`${i} refuses`);
            log.push(`assign ${i}`);
          },
          discard: () => log.push(`discard ${i}`),
          settle: async () => {
            await nextTurn();
            log.push(`settle ${i}`);
          },
        };
      },
    },
  }));
}

/** `began` and `gave` by index. */
function progress() {
  const began: number[] = [];
  const gave: number[] = [];
  return { began, gave, of: { began: (i: number) => began.push(i), gave: (i: number) => gave.push(i) } };
}

describe('handing values over', () => {
  it('stages all of them, assigns all in one turn of the event loop, and settles behind that', async () => {
    const log: string[] = [];
    const seen = progress();
    let turn = 0;
    let running = true;
    const ticking = (async () => {
      while (running) {
        await nextTurn();
        turn++;
      }
    })();
    const turns: number[] = [];
    const gives = staged(100, log);
    gives.push({ value: value(), to: { assign: () => void log.push('assign 100') } });
    // Every piece of staging is due to give way.
    const yielding = { due: true, next: () => new ShortTurns().next() };
    const of = { began: seen.of.began, gave: (i: number) => turns.push(turn) + seen.gave.push(i) };
    await handOver(gives, undefined, yielding, of);
    running = false;
    await ticking;
    expect(new Set(turns).size).toBe(1);
    expect(turns[0]).toBeGreaterThan(5);
    expect(log.map((line) => line.split(' ')[0]).filter((what, i, all) => what !== all[i - 1])).toEqual([
      'stage',
      'assign',
      'settle',
    ]);
    expect(seen.gave).toEqual(Array.from({ length: 101 }, (_, i) => i));
  });

  it('discards what was staged if an object refuses its value, and settles what was assigned before', async () => {
    const log: string[] = [];
    const seen = progress();
    const handing = handOver(staged(4, log, 2), undefined, new ShortTurns(), seen.of);
    await expect(handing).rejects.toThrow('2 refuses');
    expect(seen).toMatchObject({ began: [0, 1, 2], gave: [0, 1] });
    expect(log.slice(4)).toEqual(['assign 0', 'assign 1', 'discard 3', 'settle 0', 'settle 1', 'settle 2']);
  });

  it('assigns nothing if a value can not be made, or if it is aborted until then', async () => {
    for (const cause of ['failure', 'abort'] as const) {
      const log: string[] = [];
      const seen = progress();
      const controller = new AbortController();
      const gives = staged(2, log);
      gives.push({
        value: value(),
        to: {
          stage() {
            if (cause === 'failure') throw new Error('no memory');
            controller.abort();
            return { assign: () => log.push('assign 2'), discard: () => log.push('discard 2') };
          },
        },
      });
      const handing = handOver(gives, controller.signal, new ShortTurns(), seen.of);
      if (cause === 'abort') await expect(handing).rejects.toMatchObject({ code: 'ABORTED' });
      else await expect(handing).rejects.toThrow('no memory');
      expect(seen.began).toEqual([]);
      const discarded = ['discard 0', 'discard 1', ...(cause === 'abort' ? ['discard 2'] : [])];
      expect(log.slice(2)).toEqual(discarded);
    }
  });

  it('fills memory before anything is assigned, one after the other', async () => {
    const log: string[] = [];
    const fill = (name: string) => async () => {
      log.push(`begin ${name}`);
      await nextTurn();
      log.push(`end ${name}`);
    };
    const gives: Give[] = [...staged(1, log), { fill: fill('a') }, { fill: fill('b') }];
    await handOver(gives, undefined, new ShortTurns(), progress().of);
    expect(log).toEqual(['stage 0', 'begin a', 'end a', 'begin b', 'end b', 'assign 0', 'settle 0']);
  });
});
