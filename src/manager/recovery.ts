import { basename, dirname, join } from 'node:path';
import { openBundle } from '../bundle/index.ts';
import { composeRemoval } from '../checkpoint/commit.ts';
import { runSave } from '../native/engine.ts';
import type { ManagerWarning } from './events.ts';
import { type CheckpointFound, staleStateFiles } from './inventory.ts';

/**
 * What a save that was killed has left, and how it goes (only under the directory's lock):
 *
 *  1. A save begins by creating its temporary index: that marks its prefix. Of a marked prefix without an index all
 *     data files go: they are of the dead save. With a whole index, those of another shard count than the index's go:
 *     they are the dead save's, or, if it died after its index's rename, those of the content that it replaced. The
 *     latter has no mark any more, so a prefix with several shard counts is treated as if marked.
 *  2. Then the mark goes. Temporary state files go as well: they hold nothing that the state file doesn't.
 *
 * What has neither mark nor several shard counts is not touched; neither is a prefix whose index can't be read, for
 * then nothing says which of its data files belong to it.
 */
export interface Leftovers {
  /** Checkpoints with marks or with data of several shard counts. */
  readonly checkpoints: readonly CheckpointFound[];
  /** Full paths of temporary state files. */
  readonly stateFiles: readonly string[];
}

/** What there is to clear away, judged by the names alone; undefined: nothing. */
export function findLeftovers(
  inventory: readonly CheckpointFound[],
  directory: string,
  names: readonly string[],
): Leftovers | undefined {
  const checkpoints = inventory.filter(({ marks, hasIndex, data }) => marks.length > 0 || (hasIndex && data.size > 1));
  const stateFiles = staleStateFiles(names).map((name) => join(directory, name));
  return checkpoints.length + stateFiles.length === 0 ? undefined : { checkpoints, stateFiles };
}

/** Clears leftovers away. What can't be is a warning: the next construction tries again. */
export async function clearLeftovers(
  leftovers: Leftovers,
  onWarning: (warning: ManagerWarning) => void,
): Promise<void> {
  const data: string[] = [];
  const marks: string[] = [...leftovers.stateFiles];
  for (const checkpoint of leftovers.checkpoints) {
    data.push(...(await deadData(checkpoint)));
    marks.push(...checkpoint.marks.map((name) => join(dirname(checkpoint.path), name)));
  }
  const failed = new Set<string>();
  await remove(data, (path, message) => {
    failed.add(path);
    onWarning({
      kind: 'recovery',
      message: `${path}, left by a save that was killed, can't be deleted: ${message}`,
      path,
    });
  });
  // A mark whose data are still there has to stay, or nothing would tell that they are dead.
  const done = marks.filter((mark) => ![...failed].some((path) => mark.startsWith(path.replace(/\.data-[^/]*$/, '.'))));
  await remove(done, (path, message) => {
    onWarning({
      kind: 'recovery',
      message: `${path}, left by a save that was killed, can't be deleted: ${message}`,
      path,
    });
  });
}

async function deadData({ path, hasIndex, data }: CheckpointFound): Promise<string[]> {
  let alive: number | undefined;
  if (hasIndex) {
    try {
      alive = (await openBundle(path)).shardCount;
    } catch {
      return [];
    }
  }
  const dead = [...data].filter(([count]) => count !== alive).flatMap(([, names]) => names);
  return dead.map((name) => join(dirname(path), basename(name)));
}

async function remove(paths: readonly string[], onFailure: (path: string, message: string) => void): Promise<void> {
  if (paths.length === 0) return;
  const options = { threads: 0, stagingBytes: 0, copy: false, durable: true, direct: false, progress: false };
  await runSave(composeRemoval([{ index: '', data: paths }], options), {
    onWarning: ({ kind, path, message }) => {
      if (kind !== 'missing') onFailure(path ?? '', message ?? kind);
    },
  }).finished;
}
