import { join } from 'node:path';
import { parseDataName } from '../bundle/index.ts';
import { isTemporaryStateFile, parseIndexMark } from '../checkpoint/temporary-names.ts';

/** What the names in a directory say about one checkpoint. */
export interface CheckpointFound {
  /** Full prefix. */
  readonly path: string;
  /** The number after the manager's name. */
  readonly number: number;
  readonly hasIndex: boolean;
  /** An index, and at least one complete set of data files. */
  readonly whole: boolean;
  /** Names of the data files by shard count. */
  readonly data: ReadonlyMap<number, readonly string[]>;
  /** Names of the temporary indexes that dead saves have left. */
  readonly marks: readonly string[];
}

/** Which numbered checkpoints of `base` there are. Judged by names alone: what is in the files shows when read. */
export function takeInventory(directory: string, base: string, names: readonly string[]): CheckpointFound[] {
  const found = new Map<string, { index: boolean; data: Map<number, string[]>; marks: string[] }>();
  const entry = (checkpoint: string) => {
    let existing = found.get(checkpoint);
    if (existing === undefined) {
      existing = { index: false, data: new Map(), marks: [] };
      found.set(checkpoint, existing);
    }
    return existing;
  };
  for (const name of names) {
    if (!name.startsWith(`${base}-`)) continue;
    const data = parseDataName(name);
    const mark = parseIndexMark(name);
    const checkpoint = data?.base ?? mark?.base ?? (name.endsWith('.index') ? name.slice(0, -'.index'.length) : null);
    if (checkpoint === null || numberOf(checkpoint, base) === null) continue;
    if (data !== null) {
      const counts = entry(checkpoint).data;
      counts.set(data.count, [...(counts.get(data.count) ?? []), name]);
    } else if (mark !== undefined) entry(checkpoint).marks.push(name);
    else entry(checkpoint).index = true;
  }
  return [...found].map(([checkpoint, { index, data, marks }]) => ({
    path: join(directory, checkpoint),
    number: numberOf(checkpoint, base)!,
    hasIndex: index,
    whole: index && [...data].some(([count, files]) => files.length === count),
    data,
    marks,
  }));
}

/** Temporary state files that dead saves have left. */
export function staleStateFiles(names: readonly string[]): string[] {
  return names.filter((name) => isTemporaryStateFile(name));
}

/** The number in `<base>-<number>`, or null if this is no such name. */
export function numberOf(checkpoint: string, base: string): number | null {
  if (!checkpoint.startsWith(`${base}-`)) return null;
  const digits = checkpoint.slice(base.length + 1);
  return /^-?\d+$/.test(digits) ? Number(digits) : null;
}
