import { setImmediate as loopTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { inTurns, promiseOf, ShortTurns } from '../src/steps.ts';

describe('short turns', () => {
  // Each test begins with an iteration of its own.
  const nextIteration = async () => {
    await loopTurn();
    await loopTurn();
  };
  beforeEach(nextIteration);
  afterEach(() => vi.restoreAllMocks());

  /** A clock that only moves when it is told to. */
  function clock(): (milliseconds: number) => void {
    let now = 1000;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    return (milliseconds) => {
      now += milliseconds;
    };
  }

  it('are due when the share of this iteration of the event loop is used up', async () => {
    const pass = clock();
    const turns = new ShortTurns();
    expect(turns.due).toBe(false);
    pass(1);
    expect(turns.due).toBe(false);
    pass(2);
    expect(turns.due).toBe(true);
    await turns.next();
    expect(turns.due).toBe(false);
  });

  it('share an iteration of the event loop among all that is computed in it', async () => {
    const pass = clock();
    const first = new ShortTurns();
    expect(first.due).toBe(false);
    pass(3);
    const second = new ShortTurns();
    expect(second.due).toBe(true);
    await Promise.resolve();
    expect(new ShortTurns().due).toBe(true);
    await nextIteration();
    expect(second.due).toBe(false);
  });

  it('let computations that go on side by side come to their ends, and others run between', async () => {
    const done: string[] = [];
    const work = (name: string) =>
      promiseOf(
        inTurns(new ShortTurns(), 2000, () => {
          const until = performance.now() + 0.5;
          while (performance.now() < until);
        }),
      ).then(() => done.push(name));
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await Promise.all([work('a'), work('b')]);
    clearInterval(timer);
    expect(done.sort()).toEqual(['a', 'b']);
    expect(ticks).toBeGreaterThan(2);
  });
});
