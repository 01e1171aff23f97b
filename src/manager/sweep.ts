import { resolve } from 'node:path';
import type { ManagerState } from './state.ts';

/** What a manager keeps. */
export interface Retention {
  /** Checkpoints in the list; null: all, and then nothing is ever preserved either. */
  readonly maxToKeep: number | null;
  /** Hours between checkpoints that are kept for good; 0: none are. */
  readonly keepEveryNHours: number;
}

export interface Sweep {
  readonly state: ManagerState;
  /** Prefixes to delete, in this order. */
  readonly deleted: readonly string[];
  /** Prefixes that leave the list and stay for good. */
  readonly preserved: readonly string[];
}

/** Decides what a list that is too long gives up: damaged checkpoints, then the oldest, as TensorFlow does. */
export function sweep(state: ManagerState, { maxToKeep, keepEveryNHours }: Retention): Sweep {
  if (maxToKeep === null) return { state, deleted: [], preserved: [] };
  const managed = new Map(state.managed);
  const deleted = [...state.damaged];
  const preserved: string[] = [];
  let { lastPreserved } = state;
  for (const [path, time] of state.managed) {
    if (managed.size <= maxToKeep) break;
    managed.delete(path);
    if (keepEveryNHours !== 0 && time - keepEveryNHours * 3600 >= lastPreserved) {
      lastPreserved = time;
      preserved.push(path);
    } else deleted.push(path);
  }
  // A hand-written state file may name one checkpoint in two ways, ckpt-1 and ./ckpt-1.
  const kept = new Set([...managed.keys(), ...preserved].map((path) => resolve(path)));
  const swept = { ...state, managed, lastPreserved, listed: [...managed.keys()], damaged: [] };
  return { state: swept, deleted: deleted.filter((path) => !kept.has(resolve(path))), preserved };
}
