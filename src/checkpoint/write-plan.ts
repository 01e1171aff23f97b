import { basename, dirname } from 'node:path';
import { type BundlePlan, indexPath, type PlanOptions, parseDataName } from '../bundle/index.ts';
import { invalidArgument } from '../errors.ts';
import { ExtentKind, gpuDirectUse, type SaveProgramOptions } from '../native/contract.ts';
import { checkpointFiles, dataFiles } from './checkpoint-files.ts';
import type { StatePublication } from './commit.ts';
import type { Directories } from './directories.ts';
import type { NormalizedWriteOptions } from './options.ts';
import type { WriteRequest } from './write-handle.ts';

/** Less than that is written before anybody notices, and in the background it would take several times as long. */
const MANY_BYTES = 64 * 1024 * 1024;

/** What is under a prefix that is to be written. */
export interface Place {
  readonly prefix: string;
  /** Data files that lie there. */
  readonly data: readonly string[];
  /** Those of the checkpoint that is replaced; undefined where the prefix is new. */
  readonly replaced: readonly string[] | undefined;
}

/** Looks at a prefix, and makes its directory where there is none. */
export function placeFiles(prefix: string, directories: Directories): Place {
  const names = directories.make(dirname(prefix));
  const data = dataFiles(prefix, names);
  return { prefix, data, replaced: names.includes(basename(indexPath(prefix))) ? data : undefined };
}

export function planOptions({ prefix, data }: Place, { shards, maxShardBytes }: NormalizedWriteOptions): PlanOptions {
  // Also what an unknown writer left without an index: O_EXCL would refuse to write over it for ever.
  const avoidShardCounts = new Set(data.map((path) => parseDataName(path)!.count));
  return { prefix, shards, maxShardBytes, avoidShardCounts };
}

/** Asks for the state file of a write, makes its directory where there is none, and lists the files of what it deletes. */
export function planState(
  prefix: string,
  finish: WriteRequest['finish'],
  directories: Directories,
): StatePublication | undefined {
  const existingFiles = (directory: string): readonly string[] => directories.names(directory);
  const request = finish?.({ existingFiles });
  if (request === undefined) return undefined;
  const { path, text, previous } = request.stateFile;
  if (path === prefix) {
    throw invalidArgument(`The checkpoint's path ${path} is that of the state file; save under another name.`, {
      path,
    });
  }
  directories.make(dirname(path));
  return {
    path,
    text,
    previous,
    deletions: request.deletePrefixes
      .filter((given) => given !== prefix)
      .map((given) => checkpointFiles(given, existingFiles(dirname(given)))),
    textAfterDeletion: request.stateFileAfterDeletion,
  };
}

/** What the priority of a save depends on. */
export type PlannedBytes = Pick<BundlePlan, 'byteLength' | 'devices' | 'extents'>;

/** @param plan undefined for a program that writes no tensors. */
export function programOptions(options: NormalizedWriteOptions, plan: PlannedBytes | undefined): SaveProgramOptions {
  return {
    threads: options.threads,
    stagingBytes: options.stagingBytes,
    copy: options.snapshot === 'copy',
    durable: options.durable,
    background: isInBackground(options, plan),
    direct: true,
    progress: options.onProgress !== undefined,
    snapshotPoolBytes: options.snapshotPoolBytes,
    deviceShadow: options.deviceShadow,
    deviceChecksum: options.deviceChecksum,
    gpuDirect: gpuDirectUse(options.gpuDirect),
  };
}

function isInBackground({ priority, snapshot }: NormalizedWriteOptions, plan: PlannedBytes | undefined): boolean {
  if (priority !== undefined) return priority === 'background';
  if (plan === undefined || plan.byteLength < MANY_BYTES) return false;
  // What is copied first is what training waits for, until the last byte is captured.
  if (plan.devices !== undefined) return false;
  return snapshot === 'borrow' || !copiesMany(plan.extents);
}

function copiesMany({ kind, bytes }: BundlePlan['extents']): boolean {
  let copied = 0;
  for (let row = 0; row < kind.length && copied < MANY_BYTES; row++) {
    if (kind[row] === ExtentKind.jsMemory) copied += bytes[row]!;
  }
  return copied >= MANY_BYTES;
}
