import { basename, dirname } from 'node:path';
import { maskCrc } from '../bundle/crc.ts';
import { type BundleColumns, type BundlePlan, BundlePlanner, indexPath, parseDataName } from '../bundle/index.ts';
import { bytesOfStrings } from '../bundle/strings.ts';
import { Capturer, Frozen } from '../checkpoint/capture.ts';
import { dataFiles, marks } from '../checkpoint/checkpoint-files.ts';
import { composeRemoval, noData, unlinkAll } from '../checkpoint/commit.ts';
import { enterPrefix, leavePrefix } from '../checkpoint/lanes.ts';
import { temporaryName } from '../checkpoint/temporary-names.ts';
import type { TrackableNode } from '../checkpoint/trackable.ts';
import { walkNow } from '../checkpoint/tree.ts';
import { invalidArgument } from '../errors.ts';
import type { Step } from '../native/contract.ts';
import { allocate, makeDirectoriesSync, readDirectorySync, runSave } from '../native/engine.ts';
import { ONE_TURN, promiseOf, resultOf, ShortTurns } from '../steps.ts';
import type { MemoryRange } from '../tensor/memory.ts';
import { sumInTurns } from './sum-in-turns.ts';

/** Bytes of a data file, and so of the memory that is needed; a larger tensor gets a file of its own. */
const FILE_BYTES = 256 * 2 ** 20;
const OPTIONS = { threads: 0, stagingBytes: 64 * 2 ** 20, copy: false, durable: true, direct: true, progress: false };

/** Fills memory with the bytes of these tensors, together. */
export type Fill = (tensors: readonly { readonly key: string; readonly into: MemoryRange }[]) => Promise<void>;

/**
 * Writes a checkpoint whose tensors come one data file at a time, so that no more of it is in memory. Values of fixed
 * width have sources of kind `address` that are never read: `fill` brings their bytes. The commit is that of a save:
 * the data files are durable before the index, which makes the checkpoint, is renamed into place. After a failure
 * nothing is left; after a crash, data files without an index, which mean nothing to any reader, beside the mark of a
 * write that died. They go with the next write to this prefix, when a manager finds the mark in its directory, or by
 * removeCheckpoint().
 *
 * @throws CheckpointError INVALID_ARGUMENT where there is a checkpoint at `prefix`.
 */
export async function writeStreamed(
  prefix: string,
  root: TrackableNode,
  fill: Fill,
  signal?: AbortSignal,
): Promise<void> {
  await enterPrefix(prefix);
  try {
    await write(prefix, root, fill, signal);
  } finally {
    leavePrefix(prefix);
  }
}

async function write(prefix: string, root: TrackableNode, fill: Fill, signal: AbortSignal | undefined): Promise<void> {
  const tree = walkNow(root, (value) => value as TrackableNode);
  const frozen = resultOf(Frozen.of(tree, ONE_TURN));
  resultOf(frozen.freeze());
  const turns = new ShortTurns();
  const { columns } = await promiseOf(new Capturer().capture(tree, frozen, turns));
  const directory = dirname(prefix);
  const names = readDirectorySync(directory);
  const created = names === null ? makeDirectoriesSync(directory) : [];
  if (names?.includes(basename(indexPath(prefix)))) {
    throw invalidArgument(`There is a checkpoint at ${prefix} already. Choose another prefix, or remove it first.`, {
      path: prefix,
    });
  }
  const dead = dataFiles(prefix, names ?? []);
  const taken = dead.map((path) => parseDataName(path)!.count);
  const options = { prefix, maxShardBytes: FILE_BYTES, avoidShardCounts: new Set(taken) };
  const plan = await promiseOf(new BundlePlanner().planColumns(columns, options, turns));
  const texts = textsOf(columns);
  const sums = new Uint32Array(plan.tensorCount);
  const mark = temporaryName(indexPath(prefix));
  let begun = 0;
  try {
    await createMark(mark, signal);
    const image = allocate(Math.max(1, ...plan.files.sizes));
    for (const file of plan.files.paths.keys()) {
      await fillFile(plan, file, image, texts, fill, sums);
      begun = file + 1;
      await writeFile(plan, file, image, signal);
    }
    // Once there is an index, what others have left has no meaning to anybody.
    const leftBehind = [...dead, ...marks(prefix, names ?? []), mark];
    await publish(prefix, plan, sums, created, leftBehind, signal);
  } catch (error) {
    const data = [...plan.files.paths.slice(0, begun), mark];
    // What failed first is what the caller has to know.
    await runSave(composeRemoval([{ index: '', data }], OPTIONS)).finished.catch(() => {});
    throw error;
  }
}

/** An empty file by the name of a temporary index: it says that the prefix is being written, as that of a save does. */
async function createMark(path: string, signal: AbortSignal | undefined): Promise<void> {
  const files = { paths: [path], sizes: Float64Array.of(0) };
  const steps: Step[] = [{ op: 'write' }];
  await runSave({ ...noData(), files, blobs: [], steps, undo: [], options: OPTIONS }, { signal }).finished;
}

/** The string tensors by their keys, as they are stored. */
function textsOf({ keys, sources }: BundleColumns): Map<string, Uint8Array> {
  const texts = new Map<string, Uint8Array>();
  for (const [row, source] of sources.others) {
    if (source.kind === 'stored') texts.set(keys.at(row), bytesOfStrings(source));
  }
  return texts;
}

/** The bytes of a data file as they will lie in it, and the checksums of its tensors. */
async function fillFile(
  plan: BundlePlan,
  file: number,
  image: ArrayBuffer,
  texts: ReadonlyMap<string, Uint8Array>,
  fill: Fill,
  sums: Uint32Array,
): Promise<void> {
  const { extents } = plan;
  const rows = Array.from(extents.bytes.keys()).filter((row) => extents.file[row] === file);
  rows.sort((a, b) => extents.fileOffset[a]! - extents.fileOffset[b]!);
  const wanted: { key: string; into: MemoryRange; tensor: number }[] = [];
  let end = 0;
  for (const row of rows) {
    const [byteOffset, byteLength] = [extents.fileOffset[row]!, extents.bytes[row]!];
    // What lies between tensors is zero, whatever the memory held for the file before.
    new Uint8Array(image, end, byteOffset - end).fill(0);
    end = byteOffset + byteLength;
    const tensor = extents.tensor[row]!;
    const key = plan.keyOf(tensor);
    const text = texts.get(key);
    if (text !== undefined) new Uint8Array(image, byteOffset, byteLength).set(text);
    else wanted.push({ key, into: { buffer: image, byteOffset, byteLength }, tensor });
  }
  if (wanted.length > 0) await fill(wanted);
  for (const { tensor, into } of wanted) {
    sums[tensor] = await sumInTurns(image, into.byteOffset, into.byteLength, 0);
  }
}

async function writeFile(
  plan: BundlePlan,
  file: number,
  image: ArrayBuffer,
  signal: AbortSignal | undefined,
): Promise<void> {
  const bytes = Float64Array.of(plan.files.sizes[file]!);
  const one = () => new Uint32Array(1);
  const program = {
    ...noData(),
    files: { paths: [plan.files.paths[file]!], sizes: bytes },
    buffers: [image],
    extents: {
      kind: new Uint8Array(1),
      buffer: one(),
      source: new Float64Array(1),
      bytes,
      file: one(),
      fileOffset: new Float64Array(1),
      tensor: one(),
    },
    tensorCount: 1,
    blobs: [],
    steps: [{ op: 'write' }, { op: 'sync' }] satisfies Step[],
    undo: [],
    options: OPTIONS,
  };
  await runSave(program, { signal }).finished;
}

async function publish(
  prefix: string,
  plan: BundlePlan,
  sums: Uint32Array,
  created: readonly string[],
  leftBehind: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const { values, patches, seals } = plan.index;
  const bytes = new Uint8Array(plan.index.bytes.copy());
  const view = new DataView(bytes.buffer);
  patches.position.forEach((position, i) => {
    view.setUint32(position, maskCrc(sums[patches.tensor[i]!]!), true);
  });
  const directory = dirname(prefix);
  const parents = new Set(created.map((made) => dirname(made)));
  parents.delete(directory);
  const steps: Step[] = [
    { op: 'create', blob: 0 },
    { op: 'finish', blob: 0 },
    { op: 'sync' },
    ...[directory, ...parents].map((path): Step => ({ op: 'syncDirectory', path })),
    { op: 'publish', blob: 0, path: indexPath(prefix), commits: true },
    { op: 'syncDirectory', path: directory },
    { op: 'milestone', name: 'committed' },
    ...unlinkAll(leftBehind),
  ];
  const blobs = [{ temporaryPath: temporaryName(indexPath(prefix)), bytes, values, seals }];
  const undo: Step[] = [{ op: 'unlink', path: indexPath(prefix) }];
  await runSave({ ...noData(), blobs, steps, undo, options: OPTIONS }, { signal }).finished;
}
