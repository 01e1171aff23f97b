// @ts-check
// The page cache: forgetting files, so that a load reads the disk, and looking at what is in it.
import { spawnSync } from 'node:child_process';
import { lstatSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** All regular files below a path, or the file itself. @param {string} at @returns {string[]} */
export function filesBelow(at) {
  const info = lstatSync(at);
  if (info.isFile()) return [at];
  if (!info.isDirectory()) return [];
  return readdirSync(at).flatMap((name) => filesBelow(path.join(at, name)));
}

/**
 * Bytes of the files that are in the page cache, by fincore of util-linux; null where it is missing.
 * @param {readonly string[]} files
 * @returns {number | null}
 */
export function cachedBytes(files) {
  let total = 0;
  for (let at = 0; at < files.length; at += 1000) {
    const args = ['--bytes', '--noheadings', '--output', 'RES', ...files.slice(at, at + 1000)];
    const { status, stdout } = spawnSync('fincore', args, { encoding: 'utf8' });
    if (status !== 0) return null;
    for (const line of stdout.trim().split('\n')) total += Number(line.trim()) || 0;
  }
  return total;
}

/**
 * Writes the files back and drops them from the page cache: file by file (posix_fadvise, through dd of coreutils, which
 * anybody may), and if some remain, everything (drop_caches, which only root may).
 * @param {string} at
 * @returns {'files' | 'everything' | 'unknown' | 'not'} how far it went; 'unknown': nothing tells what is still cached
 */
export function dropCache(at) {
  const files = filesBelow(at);
  for (const file of files) {
    spawnSync('dd', [`of=${file}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none']);
  }
  const left = cachedBytes(files);
  if (left === 0) return 'files';
  try {
    spawnSync('sync');
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    return 'everything';
  } catch {
    return left === null ? 'unknown' : 'not';
  }
}
