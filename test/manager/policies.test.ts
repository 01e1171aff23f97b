import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { takeInventory } from '../../src/manager/inventory.ts';
import { findLeftovers } from '../../src/manager/recovery.ts';
import {
  freshState,
  type ManagerState,
  openState,
  recoveredState,
  withRestored,
  withSaved,
} from '../../src/manager/state.ts';
import { sweep } from '../../src/manager/sweep.ts';

function managing(times: Record<string, number>, rest: Partial<ManagerState> = {}): ManagerState {
  const managed = new Map(Object.entries(times).map(([name, time]) => [`/d/${name}`, time]));
  return {
    latest: [...managed.keys()].at(-1) ?? null,
    managed,
    lastPreserved: 0,
    listed: [...managed.keys()],
    damaged: [],
    ...rest,
  };
}

const list = (state: ManagerState) => [...state.managed.keys()].map((path) => path.slice(3));

describe('the sweep', () => {
  it('24: maxToKeep null keeps all, and preserves nothing', () => {
    const state = managing({ a: 3600, b: 9999 }, { damaged: ['/d/x'] });
    expect(sweep(state, { maxToKeep: null, keepEveryNHours: 1 })).toEqual({ state, deleted: [], preserved: [] });
  });

  it('25: the oldest goes while there are too many', () => {
    const swept = sweep(managing({ a: 1, b: 2, c: 3 }), { maxToKeep: 2, keepEveryNHours: 0 });
    expect([list(swept.state), swept.deleted, swept.preserved]).toEqual([['b', 'c'], ['/d/a'], []]);
  });

  it.each([
    [3599.999, false],
    [3600, true],
    [3600.001, true],
  ])('25: at %s seconds after the last preserved, one hour set: preserved %s', (time, preserved) => {
    const swept = sweep(managing({ a: time, b: 9000 }), { maxToKeep: 1, keepEveryNHours: 1 });
    expect(swept.preserved).toEqual(preserved ? ['/d/a'] : []);
    expect(swept.deleted).toEqual(preserved ? [] : ['/d/a']);
    expect(swept.state.lastPreserved).toBe(preserved ? time : 0);
    expect(list(swept.state)).toEqual(['b']);
  });

  it('25: zero hours never preserve', () => {
    expect(sweep(managing({ a: 1e9, b: 2e9 }), { maxToKeep: 1, keepEveryNHours: 0 }).preserved).toEqual([]);
  });

  it('26: a checkpoint that the list names in two ways is not deleted while one of them stays', () => {
    const state = managing({ './a': 1, a: 2 });
    expect(sweep(state, { maxToKeep: 1, keepEveryNHours: 0 }).deleted).toEqual([]);
  });

  it('27: whatever is saved, at most maxToKeep stay in the list, nothing preserved is ever deleted, and preserved ones are hours apart', () => {
    const gaps = fc.array(fc.integer({ min: 1, max: 4000 }), { maxLength: 60 });
    fc.assert(
      fc.property(
        gaps,
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 3 }),
        (gaps, maxToKeep, keepEveryNHours) => {
          let now = 1e6;
          let state = freshState(now);
          const preserved: number[] = [state.lastPreserved];
          const gone = new Set<string>();
          for (const gap of gaps) {
            now += gap;
            const swept = sweep(withSaved(state, `/d/${now}`, now), { maxToKeep, keepEveryNHours });
            state = swept.state;
            expect(state.managed.size).toBeLessThanOrEqual(maxToKeep);
            expect(state.managed.has(`/d/${now}`)).toBe(true);
            for (const path of [...swept.deleted, ...swept.preserved]) {
              expect(gone.has(path)).toBe(false);
              gone.add(path);
            }
            preserved.push(...swept.preserved.map((path) => Number(path.slice(3))));
          }
          for (let i = 1; i < preserved.length; i++) {
            expect(preserved[i]! - preserved[i - 1]!).toBeGreaterThanOrEqual(keepEveryNHours * 3600);
          }
        },
      ),
    );
  });

  it('30: the damaged go first, and only those that were managed', () => {
    const state = withRestored(managing({ a: 1, b: 2, c: 3 }), '/d/a', ['/d/c', '/d/preserved']);
    expect(list(state)).toEqual(['a', 'b']);
    expect(state.latest).toBe('/d/a');
    const swept = sweep(withSaved(state, '/d/e', 4), { maxToKeep: 2, keepEveryNHours: 0 });
    expect(swept.deleted).toEqual(['/d/c', '/d/a']);
    expect(sweep(withSaved(state, '/d/c', 4), { maxToKeep: 3, keepEveryNHours: 0 }).deleted).toEqual([]);
  });
});

describe('states', () => {
  it('20: saving a listed path moves it to the end', () => {
    expect(list(withSaved(managing({ a: 1, b: 2 }), '/d/a', 3))).toEqual(['b', 'a']);
  });

  it('6: NaN timestamps are not managed, and a path given twice keeps its first place', () => {
    const file = {
      modelCheckpointPath: 'a',
      allModelCheckpointPaths: ['a', 'b', 'a', 'c'],
      allModelCheckpointTimestamps: [1, 2, 3, Number.NaN],
      lastPreservedTimestamp: 0,
    };
    const { state } = openState(file, '/d', 100);
    expect([...state.managed]).toEqual([
      ['/d/a', 3],
      ['/d/b', 2],
    ]);
  });

  it('10: a recovered list is preserved from one second before its oldest', () => {
    const state = recoveredState(
      [
        { path: '/d/a', time: 50 },
        { path: '/d/b', time: 999 },
      ],
      100,
    );
    expect([...state.managed]).toEqual([
      ['/d/a', 50],
      ['/d/b', 100],
    ]);
    expect([state.latest, state.lastPreserved]).toEqual(['/d/b', 49]);
  });
});

describe('what is in a directory', () => {
  const mark = '.index.tmp-12-0123456789ab';
  const inventory = (...names: string[]) => takeInventory('/d', 'ckpt', names);

  it('28: names of other checkpoints and other files are none of ours', () => {
    expect(
      inventory(
        'ckpt',
        'checkpoint',
        'ckpt-1',
        'ckpt-x.index',
        'ckpt-1.meta',
        'other-1.index',
        'ckpt-1-2.index',
        `best${mark}`,
      ),
    ).toEqual([]);
  });

  it('10: whole is what has an index and all data files of one count', () => {
    const found = inventory(
      'ckpt-1.index',
      'ckpt-1.data-00000-of-00001',
      'ckpt-2.index',
      'ckpt-2.data-00000-of-00002',
      'ckpt-3.data-00000-of-00001',
      'ckpt--4.index',
      'ckpt--4.data-00001-of-00002',
      'ckpt--4.data-00000-of-00002',
    );
    expect(found.map(({ number, whole }) => [number, whole])).toEqual([
      [1, true],
      [2, false],
      [3, false],
      [-4, true],
    ]);
  });

  it('28: marks, several shard counts and temporary state files are leftovers; data alone are not', () => {
    const leftovers = (...names: string[]) => findLeftovers(inventory(...names), '/d', names);
    expect(
      leftovers('ckpt-1.index', 'ckpt-1.data-00000-of-00001', 'ckpt-2.data-00000-of-00001', 'checkpoint'),
    ).toBeUndefined();
    expect(leftovers(`ckpt-2${mark}`)?.checkpoints).toHaveLength(1);
    expect(
      leftovers('ckpt-1.index', 'ckpt-1.data-00000-of-00001', 'ckpt-1.data-00000-of-00002')?.checkpoints,
    ).toHaveLength(1);
    expect(leftovers('ckpt-1.data-00000-of-00001', 'ckpt-1.data-00000-of-00002')).toBeUndefined();
    expect(leftovers('checkpoint.tmp-12-0123456789ab', 'checkpoint.tmp-12')?.stateFiles).toEqual([
      '/d/checkpoint.tmp-12-0123456789ab',
    ]);
  });
});
