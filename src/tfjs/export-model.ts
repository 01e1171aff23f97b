import { dirname, join, resolve } from 'node:path';
import { dataPath } from '../bundle/index.ts';
import { LoadBuilder } from '../bundle/load-builder.ts';
import { composeRemoval, noData } from '../checkpoint/commit.ts';
import { optionsObject } from '../checkpoint/option-checks.ts';
import { temporaryName } from '../checkpoint/temporary-names.ts';
import { CheckpointError, describeValue, invalidArgument, isCheckpointError } from '../errors.ts';
import { resolvePrefix } from '../manager/latest.ts';
import { ExtentKind, type Step } from '../native/contract.ts';
import {
  allocate,
  crc32c,
  lockDirectorySync,
  makeDirectoriesSync,
  readDirectorySync,
  runSave,
} from '../native/engine.ts';
import { openStoredModel, type StoredModel, type StoredWeight } from './stored-weights.ts';
import { sumInTurns } from './sum-in-turns.ts';

/** Options of {@link exportTfjsModel}. */
export interface ExportTfjsModelOptions {
  /** Path of the model in the checkpoint, as `describeCheckpoint` tells it. Default: the only one there is. */
  model?: string;
  /**
   * Bytes of a weight file; the last one may be smaller. Browsers cache files of this size.
   *
   * @default 4 MiB, as TensorFlow.js's converter
   */
  shardBytes?: number;
  signal?: AbortSignal;
}

/** What {@link exportTfjsModel} wrote. */
export interface ExportedTfjsModel {
  /** The model.json. */
  readonly path: string;
  /** Names of the weight files beside it, in order. */
  readonly files: readonly string[];
  /** Bytes of all weights. */
  readonly bytes: number;
}

const MODEL_JSON = 'model.json';
/** Memory that an export takes, whatever the size of the model. */
const BUFFER_BYTES = 64 * 2 ** 20;
const MAX_SHARD_BYTES = 256 * 2 ** 20;
/** Weight files of an export: only these are ever deleted. */
const OURS = /^weights-[0-9a-f]{8}(-\d+)?-shard\d+of\d+\.bin$/;

/**
 * Writes the model of a checkpoint as TensorFlow.js's model.json with weight files, for a browser or
 * `tf.loadLayersModel`: topology, metadata and weights, without the optimizer. It needs neither a model nor tf, and 64
 * MiB of memory whatever the model's size. Checksums are compared on the way.
 *
 * An export that was there is replaced in one step: the new weight files have other names, and model.json is renamed
 * into place when they are durable. Other files in the directory are left alone.
 *
 * @param prefixOrDirectory A checkpoint with a tfjs model in it, or a directory whose latest is meant: `./run/best`.
 * @param directory Made where there is none.
 * @throws CheckpointError NOT_FOUND, DATA_LOSS, UNSUPPORTED (a weight that TensorFlow.js has no dtype for), NO_SPACE,
 *   IO_ERROR, ABORTED, DIRECTORY_LOCKED: nothing has changed in the directory.
 * @example
 * ```ts
 * await exportTfjsModel('./run/best', './public/model');
 * ```
 */
export async function exportTfjsModel(
  prefixOrDirectory: string,
  directory: string,
  options: ExportTfjsModelOptions = {},
): Promise<ExportedTfjsModel> {
  const what = 'exportTfjsModel';
  const names = new Set<keyof ExportTfjsModelOptions & string>(['model', 'shardBytes', 'signal']);
  const { model, shardBytes = 4 * 2 ** 20, signal } = optionsObject(options, names, what) as ExportTfjsModelOptions;
  if (!Number.isSafeInteger(shardBytes) || shardBytes < 1 || shardBytes > MAX_SHARD_BYTES) {
    throw invalidArgument(
      `${what}: shardBytes must be from 1 to ${MAX_SHARD_BYTES}, not ${describeValue(shardBytes)}.`,
    );
  }
  if (typeof directory !== 'string' || directory === '' || directory.includes('\0')) {
    throw invalidArgument(`${what}: directory must be a path, not ${describeValue(directory)}.`);
  }
  const stored = await openStoredModel(await resolvePrefix(prefixOrDirectory), model, what);
  const where = resolve(directory);
  const created = makeDirectoriesSync(where);
  const lock = lockOf(where);
  try {
    return await write(stored, where, created, shardBytes, signal);
  } finally {
    lock?.release();
  }
}

/** The bytes of the weights one after the other, cut into files. */
interface Sharding {
  readonly weights: readonly StoredWeight[];
  /** Where each weight begins in all the bytes. */
  readonly starts: readonly number[];
  readonly total: number;
  readonly shardBytes: number;
  readonly files: readonly string[];
}

async function write(
  { bundle, topology, weights: all }: StoredModel,
  where: string,
  created: readonly string[],
  shardBytes: number,
  signal: AbortSignal | undefined,
): Promise<ExportedTfjsModel> {
  const weights = all.filter(({ group }) => group !== 'optimizer');
  let total = 0;
  const starts = weights.map(({ entry }) => {
    total += entry.byteLength;
    return total - entry.byteLength;
  });
  const before = readDirectorySync(where) ?? [];
  const count = Math.ceil(total / shardBytes);
  const tag = freeTag(weights, before);
  const files = Array.from({ length: count }, (_, i) => `weights-${tag}-shard${i + 1}of${count}.bin`);
  const sharding: Sharding = { weights, starts, total, shardBytes, files };
  try {
    await writeShards({ bundle, sharding, where, signal });
    const { modelTopology, format, generatedBy, userDefinedMetadata } = topology;
    const specs = weights.map(({ name, entry: { shape, dtype } }) => ({ name, shape, dtype }));
    const weightsManifest = [{ paths: files, weights: specs }];
    const json = { format, generatedBy, convertedBy: null, modelTopology, userDefinedMetadata, weightsManifest };
    const stale = before.filter((name) => OURS.test(name));
    await publish(JSON.stringify(json), where, created, stale, signal);
  } catch (error) {
    await removeQuietly(files.map((name) => join(where, name)));
    throw error;
  }
  return { path: join(where, MODEL_JSON), files, bytes: total };
}

interface ShardWriting {
  readonly bundle: StoredModel['bundle'];
  readonly sharding: Sharding;
  readonly where: string;
  readonly signal: AbortSignal | undefined;
}

/** A buffer of files at a time: read, compared with the checksums, written and synced. */
async function writeShards({ bundle, sharding, where, signal }: ShardWriting): Promise<void> {
  const { total, shardBytes, files, weights } = sharding;
  if (total === 0) return;
  const perBatch = Math.max(1, Math.floor(BUFFER_BYTES / shardBytes));
  const buffer = allocate(Math.min(perBatch * shardBytes, total));
  /** Checksums of the weights that a batch cuts, as far as they have been read. */
  const partial = new Map<StoredWeight, number>();
  for (let first = 0; first < files.length; first += perBatch) {
    const batch = files.slice(first, first + perBatch);
    const begin = first * shardBytes;
    const end = Math.min(total, begin + batch.length * shardBytes);
    const loader = new LoadBuilder();
    const cut: { weight: StoredWeight; at: number; bytes: number; isLast: boolean }[] = [];
    for (const [i, weight] of weights.entries()) {
      const start = sharding.starts[i]!;
      const { byteLength, shard, offset, crc32c: expected } = weight.entry;
      const [from, to] = [Math.max(begin, start), Math.min(end, start + byteLength)];
      if (from >= to) continue;
      if (shard === null || offset === null) {
        // Stored in slices, by Python: put together as a whole.
        const { bytes } = await bundle.readTensor(weight.key, { signal });
        new Uint8Array(buffer).set(bytes.subarray(from - start, to - start), from - begin);
        continue;
      }
      const isWhole = to - from === byteLength;
      loader.tensor(weight, isWhole ? expected : null);
      const into = { buffer, byteOffset: from - begin, byteLength: to - from };
      loader.extent(dataPath(bundle.prefix, shard, bundle.shardCount), offset + from - start, to - from, into);
      if (!isWhole) cut.push({ weight, at: from - begin, bytes: to - from, isLast: to === start + byteLength });
    }
    if (loader.tensorCount > 0) await loader.run({ signal });
    for (const { weight, at, bytes, isLast } of cut) {
      const sum = await sumInTurns(buffer, at, bytes, partial.get(weight) ?? 0);
      partial.set(weight, sum);
      if (isLast && sum !== weight.entry.crc32c) throw damaged(bundle.prefix, weight.key);
    }
    const sizes = Float64Array.from(batch, (_, i) => Math.min(shardBytes, end - begin - i * shardBytes));
    await runSave(
      {
        ...noData(),
        files: { paths: batch.map((name) => join(where, name)), sizes },
        buffers: [buffer],
        extents: {
          kind: new Uint8Array(batch.length).fill(ExtentKind.jsMemory),
          buffer: new Uint32Array(batch.length),
          source: Float64Array.from(batch, (_, i) => i * shardBytes),
          bytes: sizes,
          file: Uint32Array.from(batch, (_, i) => i),
          fileOffset: new Float64Array(batch.length),
          tensor: new Uint32Array(batch.length),
        },
        tensorCount: 1,
        blobs: [],
        steps: [{ op: 'write' }, { op: 'sync' }],
        undo: [],
        options: { threads: 0, stagingBytes: BUFFER_BYTES, copy: false, durable: true, direct: true, progress: false },
      },
      { signal },
    ).finished;
  }
}

/** The commit: model.json is renamed into place; the weight files of the one before go behind that. */
async function publish(
  json: string,
  where: string,
  created: readonly string[],
  stale: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const path = join(where, MODEL_JSON);
  const parents = new Set(created.map((made) => dirname(made)));
  parents.delete(where);
  const steps: Step[] = [
    { op: 'create', blob: 0 },
    { op: 'finish', blob: 0 },
    { op: 'sync' },
    ...[where, ...parents].map((directory): Step => ({ op: 'syncDirectory', path: directory })),
    { op: 'publish', blob: 0, path, commits: true },
    { op: 'syncDirectory', path: where, optional: true },
    { op: 'milestone', name: 'committed' },
    ...stale.map((name): Step => ({ op: 'unlink', path: join(where, name) })),
  ];
  const blobs = [{ temporaryPath: temporaryName(path), bytes: new TextEncoder().encode(json) }];
  await runSave({ ...noData(), blobs, steps, undo: [], options: SMALL }, { signal }).finished;
}

const SMALL = { threads: 0, stagingBytes: 0, copy: false, durable: true, direct: false, progress: false };

/** A part of the files' names that no file has yet; the same for equal weights in an empty directory. */
function freeTag(weights: readonly StoredWeight[], names: readonly string[]): string {
  const text = weights.map(({ name, entry }) => `${name} ${entry.crc32c ?? ''}\n`).join('');
  const base = crc32c(new TextEncoder().encode(text)).toString(16).padStart(8, '0');
  let tag = base;
  for (let i = 2; names.some((name) => name.startsWith(`weights-${tag}-shard`)); i++) tag = `${base}-${i}`;
  return tag;
}

function lockOf(where: string): { release(): void } | null {
  try {
    return lockDirectorySync(where);
  } catch (error) {
    // Where there are no locks, two exports at once are their callers' to prevent.
    if (isCheckpointError(error) && error.code === 'UNSUPPORTED') return null;
    throw error;
  }
}

async function removeQuietly(paths: readonly string[]): Promise<void> {
  // What failed first is what the caller has to know.
  await runSave(composeRemoval([{ index: '', data: paths }], SMALL)).finished.catch(() => {});
}

function damaged(path: string, key: string): CheckpointError {
  return new CheckpointError('DATA_LOSS', `The checksum of ${key} in ${path} differs: it is damaged.`, { path, key });
}
