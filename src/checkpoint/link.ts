/**
 * A second name for a checkpoint, by hard links: the bytes are on the disk once, and either checkpoint may be deleted
 * without the other. The commit protocol is that of a save (commit.ts), with links in place of writes:
 *
 *  0. The index is linked to a temporary name, which marks the prefix.
 *  1. The data files are linked under their names. Where the file system can't link, native copies. The state file is
 *     written to a temporary name. All of these are synced.
 *  2. The directory is synced: the names of the data files are durable.
 *  3. The index is renamed into place and its directory synced: the checkpoint exists.
 *  4. to 6. The state file and deletions, as in a save.
 *
 * A crash leaves, at every point, what was listed before listed and whole.
 */
import { basename, dirname } from 'node:path';
import { dataPath, indexPath, openBundle } from '../bundle/index.ts';
import { describeValue, invalidArgument } from '../errors.ts';
import type { SaveProgram, SaveProgramOptions, Step } from '../native/contract.ts';
import { runSave, type SaveStats } from '../native/engine.ts';
import { absolutePrefix } from './checkpoint.ts';
import { checkpointFiles } from './checkpoint-files.ts';
import { commitSteps, deletionSteps, noData, publication, type StatePublication, unlinkAll } from './commit.ts';
import { Directories } from './directories.ts';
import { enterPrefix, leavePrefix } from './lanes.ts';
import { optionsObject } from './option-checks.ts';
import { temporaryName } from './temporary-names.ts';
import { describeWarning } from './warnings.ts';
import type { WriteRequest } from './write-handle.ts';
import { planState } from './write-plan.ts';

/** Options of {@link linkCheckpoint}. */
export interface LinkOptions {
  /**
   * false: without fsync. The links survive a killed process, not a power cut.
   *
   * @default true
   */
  durable?: boolean;
  /** Aborts with ABORTED, up to the moment at which the new index is renamed into place. */
  signal?: AbortSignal;
}

/** What {@link linkCheckpoint} did. */
export interface LinkResult {
  /** The new prefix, absolute. */
  readonly path: string;
  /** Bytes that had to be copied, where the file system has no hard links; 0: none. */
  readonly bytesCopied: number;
}

/** What a manager of linked checkpoints adds. @internal */
export interface LinkExtras extends Pick<WriteRequest, 'createdDirectories' | 'finish' | 'onWarning'> {}

const NAMES: ReadonlySet<string> = new Set<keyof LinkOptions>(['durable', 'signal']);

/**
 * Gives a checkpoint a second prefix, crash-safe and without writing its bytes again: its files get hard links. Where
 * they can't have any (another file system, one without links), they are copied. To keep a checkpoint out of reach of a
 * manager's retention, link it to another directory.
 *
 * @param prefix A checkpoint that isn't being written.
 * @param toPrefix Where there is none yet; directories are created.
 * @throws CheckpointError NOT_FOUND, DATA_LOSS: there is no whole checkpoint at `prefix`. INVALID_ARGUMENT: there is
 *   one at `toPrefix`, or files of one. NO_SPACE, IO_ERROR, ABORTED: nothing is left at `toPrefix`.
 * @example
 * ```ts
 * await linkCheckpoint(manager.latestCheckpoint, '/archive/epoch-10');
 * ```
 */
export async function linkCheckpoint(prefix: string, toPrefix: string, options?: LinkOptions): Promise<LinkResult> {
  const { durable = true, signal } = optionsObject(options, NAMES, 'linkCheckpoint') as LinkOptions;
  if (typeof durable !== 'boolean') {
    throw invalidArgument(`linkCheckpoint: durable must be true or false, not ${describeValue(durable)}.`);
  }
  return await linkWith(prefix, toPrefix, { durable, signal }, {});
}

/** {@link linkCheckpoint} with a state file. @internal */
export async function linkWith(
  prefix: string,
  toPrefix: string,
  { durable = true, signal }: LinkOptions,
  extras: LinkExtras,
): Promise<LinkResult> {
  const from = absolutePrefix(prefix, 'linkCheckpoint');
  const to = absolutePrefix(toPrefix, 'linkCheckpoint');
  if (from === to) throw invalidArgument(`linkCheckpoint: ${from} is linked to itself.`, { path: from });
  // In order, so that two links the other way round don't wait for each other.
  const lanes = [from, to].sort();
  for (const lane of lanes) await enterPrefix(lane);
  try {
    return await link(from, to, { durable, signal }, extras);
  } finally {
    for (const lane of lanes) leavePrefix(lane);
  }
}

async function link(
  from: string,
  to: string,
  { durable = true, signal }: LinkOptions,
  extras: LinkExtras,
): Promise<LinkResult> {
  const { shardCount } = await openBundle(from, { signal });
  const directories = new Directories(extras.createdDirectories);
  refuseExisting(to, directories.make(dirname(to)));
  const state = planState(to, extras.finish, directories);
  const options = { threads: 0, stagingBytes: 0, copy: false, durable, direct: false, progress: false };
  const program = composeLink({ from, to, shardCount, createdDirectories: directories.created, state, options });
  const onWarning = extras.onWarning;
  const run = runSave(program, {
    signal,
    onWarning: onWarning && ((warning) => onWarning(describeWarning(warning))),
  });
  const stats: SaveStats = await run.finished;
  return { path: to, bytesCopied: stats.bytesCopied };
}

function refuseExisting(to: string, names: readonly string[]): void {
  const { index, data } = checkpointFiles(to, names);
  const there = [...(names.includes(basename(index)) ? [index] : []), ...data];
  if (there.length === 0) return;
  throw invalidArgument(
    `linkCheckpoint: there are files of a checkpoint at ${to} already: ${there.join(', ')}. ` +
      'Choose another prefix, or remove it first with removeCheckpoint().',
    { path: to },
  );
}

interface Linking {
  readonly from: string;
  readonly to: string;
  readonly shardCount: number;
  readonly createdDirectories: readonly string[];
  readonly state?: StatePublication;
  readonly options: SaveProgramOptions;
}

/** The program of a link: see the top of this file. */
export function composeLink({ from, to, shardCount, createdDirectories, state, options }: Linking): SaveProgram {
  const index = indexPath(to);
  // Never created or written: the link has its temporary name.
  const blobs = [{ temporaryPath: temporaryName(index), bytes: new Uint8Array() }];
  const temporaryIndex = blobs[0]!.temporaryPath;
  const stateSteps = state === undefined ? undefined : publication(state, blobs);
  const shards = Array.from({ length: shardCount }, (_, shard) => shard);
  const data = shards.map((shard) => dataPath(to, shard, shardCount));
  const steps: Step[] = [
    { op: 'link', from: indexPath(from), path: temporaryIndex },
    ...shards.map((shard): Step => ({ op: 'link', from: dataPath(from, shard, shardCount), path: data[shard]! })),
    ...commitSteps(index, createdDirectories, stateSteps),
    ...deletionSteps(state?.deletions ?? []),
    ...(stateSteps?.publishAgain ?? []),
  ];
  const undo = [...(stateSteps?.putBack ?? []), ...unlinkAll([index]), ...unlinkAll(data)];
  return { ...noData(), blobs, steps, undo, options };
}
