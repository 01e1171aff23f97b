import { basename, dirname } from 'node:path';

/** Shard and shard count are written with at least five decimal digits. */
export const MAX_SHARDS = 99_999;

/** The index file of a checkpoint. */
export function indexPath(prefix: string): string {
  return `${prefix}.index`;
}

/** Data file `shard` (from 0) of `count`. */
export function dataPath(prefix: string, shard: number, count: number): string {
  return `${prefix}.data-${pad(shard)}-of-${pad(count)}`;
}

/** Directory and base name of a prefix: its files are `<directory>/<base>.index`, `<directory>/<base>.data-…`. */
export function splitPrefix(prefix: string): { directory: string; base: string } {
  return { directory: dirname(prefix), base: basename(prefix) };
}

/** Takes the name of a data file (with or without directory) apart, or returns null if it isn't one. */
export function parseDataName(name: string): { base: string; shard: number; count: number } | null {
  const match = /^(.+)\.data-(\d{5})-of-(\d{5})$/s.exec(name);
  if (match === null) return null;
  const shard = Number(match[2]);
  const count = Number(match[3]);
  return count > 0 && shard < count ? { base: match[1]!, shard, count } : null;
}

function pad(value: number): string {
  return String(value).padStart(5, '0');
}
