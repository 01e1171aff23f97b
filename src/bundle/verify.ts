import { type CheckpointError, type CheckpointErrorCode, isCheckpointError } from '../errors.ts';
import type { LoadDamage, Progress } from '../native/contract.ts';
import { runLoad, stat } from '../native/engine.ts';
import { promiseOf, ShortTurns } from '../steps.ts';
import { elementSize } from '../tensor/dtypes.ts';
import { elementCount } from '../tensor/shape.ts';
import { throwIfAborted } from './abort.ts';
import { wholeBox } from './boxes.ts';
import { LoadBuilder } from './load-builder.ts';
import type { StoredEntry } from './messages.ts';
import { dataPath, indexPath } from './names.ts';
import { readIndexFile } from './open-index.ts';
import { type ParsedIndex, parseIndexSteps } from './parse-index.ts';
import { storedParts } from './stored-parts.ts';
import { readStrings } from './strings.ts';
import { checkVariants } from './variants.ts';

export interface VerifyOptions {
  /** Threads; default: the engine's choice. */
  readonly threads?: number;
  /** Upper bound of staging memory, bytes. @default 256 MiB */
  readonly stagingBytes?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** A defect of a checkpoint. */
export interface VerifyProblem {
  /**
   * `NOT_FOUND`: the index or a data file is missing. `OUT_OF_RANGE`: a data file is shorter than its tensors need, or
   * longer than its last tensor. `DATA_LOSS`: a checksum differs, or the index contradicts the format or itself (a
   * truncated or extended index too). `UNSUPPORTED`: a version, byte order or dtype that this package doesn't read.
   * `IO_ERROR`: the system could not read a file.
   */
  readonly code: CheckpointErrorCode;
  readonly message: string;
  readonly file?: string;
  readonly key?: string;
  readonly offset?: number;
}

export interface VerifyReport {
  /** No problem was found. */
  readonly ok: boolean;
  readonly problems: readonly VerifyProblem[];
  /** Tensors (and parts of sliced tensors) whose bytes were read and summed. */
  readonly tensors: number;
  /** Their bytes. */
  readonly bytes: number;
}

/** Strings are summed on the JS thread; so many bytes of them are in memory at once. */
const STRING_BATCH_BYTES = 64 * 2 ** 20;

interface Stored {
  readonly key: string;
  readonly entry: StoredEntry;
}

/**
 * Reads a checkpoint whole and reports everything that is wrong with it: every block of the index, every tensor's
 * checksum, every data file's size. The whole index counts, its padding too; a data file ends with its last tensor's
 * last byte, and padding between tensors is no one's.
 *
 * @throws CheckpointError INVALID_ARGUMENT or ABORTED only; all else is in the report.
 */
export async function verifyBundle(prefix: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  throwIfAborted(options.signal);
  const problems: VerifyProblem[] = [];
  const report = (error: CheckpointError): void => {
    const { code, message, path, key, offset } = error;
    problems.push({ code, message, file: path, key, offset });
  };
  const done = (tensors: number, bytes: number) => ({ ok: problems.length === 0, problems, tensors, bytes });

  const index = await attempt(async () => {
    const path = indexPath(prefix);
    const file = await readIndexFile(prefix);
    return await promiseOf(parseIndexSteps(file, { path, strict: true, onProblem: report }, new ShortTurns()));
  }, report);
  throwIfAborted(options.signal);
  if (index === undefined) return done(0, 0);

  const indexIsWhole = problems.length === 0;
  const stored = checkSlices(index, report);
  const readable = await checkFiles(prefix, index, stored, indexIsWhole, report, problems);
  throwIfAborted(options.signal);
  const path = ({ entry }: Stored) => dataPath(prefix, entry.shard, index.shardCount);

  await sumFixed(
    readable.filter(({ entry }) => elementSize(entry.dtype) > 0),
    path,
    options,
    report,
    problems,
  );
  for (const batch of batches(readable.filter(({ entry }) => elementSize(entry.dtype) === 0))) {
    await sumVariable(batch, path, options, report, problems);
  }
  return done(
    readable.length,
    readable.reduce((sum, { entry }) => sum + entry.size, 0),
  );
}

/** What lies in data files: plain tensors and parts. Sliced tensors must be covered by their parts. */
function checkSlices(index: ParsedIndex, report: (error: CheckpointError) => void): Stored[] {
  const stored: Stored[] = [];
  const partKeys = new Map<StoredEntry, string>();
  for (const [key, entry] of index.entries) {
    if (entry.slices.length === 0) {
      stored.push({ key, entry });
      continue;
    }
    try {
      for (const part of storedParts(index, key, entry, wholeBox(entry.shape))) partKeys.set(part.entry, key);
    } catch (error) {
      if (!isCheckpointError(error)) throw error;
      report(error);
    }
  }
  for (const [key, entry] of index.parts) {
    if (entry.slices.length === 0) stored.push({ key: partKeys.get(entry) ?? JSON.stringify(key), entry });
  }
  return stored;
}

/** Data files are there and end exactly with their last tensor. Returns the tensors whose bytes can be read. */
async function checkFiles(
  prefix: string,
  index: ParsedIndex,
  stored: readonly Stored[],
  indexIsWhole: boolean,
  report: (error: CheckpointError) => void,
  problems: VerifyProblem[],
): Promise<Stored[]> {
  const ends = new Map<number, number>();
  for (const { entry } of stored) {
    ends.set(entry.shard, Math.max(ends.get(entry.shard) ?? 0, entry.offset + entry.size));
  }
  const sizes = new Map<number, number>();
  for (const [shard, end] of [...ends].sort(([a], [b]) => a - b)) {
    const file = dataPath(prefix, shard, index.shardCount);
    const found = await attempt(() => stat(file), report);
    if (found === undefined) continue;
    if (found === null || found.isDirectory) {
      problems.push({ code: 'NOT_FOUND', message: `The data file ${file} is missing.`, file });
      continue;
    }
    sizes.set(shard, found.size);
    if (found.size > end && indexIsWhole) {
      problems.push({
        code: 'OUT_OF_RANGE',
        message: `${file} has ${found.size} bytes; its last tensor ends at ${end}.`,
        file,
        offset: end,
      });
    }
  }
  return stored.filter(({ key, entry }) => {
    const size = sizes.get(entry.shard);
    if (size === undefined) return false;
    if (entry.offset + entry.size <= size) return true;
    const file = dataPath(prefix, entry.shard, index.shardCount);
    problems.push({
      code: 'OUT_OF_RANGE',
      message: `'${key}' ends at ${entry.offset + entry.size} of ${file}, which has only ${size} bytes: it is truncated.`,
      file,
      key,
      offset: entry.offset,
    });
    return false;
  });
}

async function sumFixed(
  tensors: readonly Stored[],
  path: (tensor: Stored) => string,
  options: VerifyOptions,
  report: (error: CheckpointError) => void,
  problems: VerifyProblem[],
): Promise<void> {
  const builder = new LoadBuilder();
  const summed: Stored[] = [];
  for (const tensor of tensors) {
    const { entry } = tensor;
    if (entry.size === 0) {
      if (entry.crc32c !== 0) problems.push(damaged(tensor, path(tensor), 'it is empty, and its checksum is not'));
      continue;
    }
    builder.tensor(tensor, entry.crc32c);
    builder.extent(path(tensor), entry.offset, entry.size, null);
    summed.push(tensor);
  }
  const damage = await load(builder, options, report);
  for (const one of damage) {
    const tensor = summed[one.tensor]!;
    problems.push(describeDamage(one, tensor, path(tensor)));
  }
}

async function sumVariable(
  tensors: readonly Stored[],
  path: (tensor: Stored) => string,
  options: VerifyOptions,
  report: (error: CheckpointError) => void,
  problems: VerifyProblem[],
): Promise<void> {
  const builder = new LoadBuilder();
  const memory: Uint8Array[] = [];
  for (const tensor of tensors) {
    const bytes = new Uint8Array(tensor.entry.size);
    memory.push(bytes);
    builder.tensor(tensor, null);
    builder.extent(path(tensor), tensor.entry.offset, tensor.entry.size, bytes);
  }
  const damage = await load(builder, { ...options, onProgress: undefined }, report);
  const unread = new Set<number>();
  for (const one of damage) {
    unread.add(one.tensor);
    const tensor = tensors[one.tensor]!;
    problems.push(describeDamage(one, tensor, path(tensor)));
  }
  for (const [i, tensor] of tensors.entries()) {
    if (unread.has(i)) continue;
    const { entry } = tensor;
    const count = elementCount(entry.shape);
    try {
      if (entry.dtype === 'string') readStrings(memory[i]!, count, entry.crc32c);
      else checkVariants(memory[i]!, count, entry.crc32c);
    } catch (error) {
      if (!isCheckpointError(error)) throw error;
      problems.push(damaged(tensor, path(tensor), error.message));
    }
  }
}

async function load(
  builder: LoadBuilder,
  options: VerifyOptions,
  report: (error: CheckpointError) => void,
): Promise<readonly LoadDamage[]> {
  if (builder.tensorCount === 0) return [];
  const { threads, stagingBytes, signal, onProgress } = options;
  const program = builder.build({ threads, stagingBytes, progress: onProgress !== undefined, keepGoing: true });
  const names = (tensor: number) => builder.keyOf(tensor);
  const result = await attempt(() => runLoad(program, { names, signal, onProgress }), report);
  builder.free();
  return result?.damage ?? [];
}

function describeDamage({ kind, error }: LoadDamage, tensor: Stored, file: string): VerifyProblem {
  if (kind === 'checksum') return damaged(tensor, file, 'its checksum does not match its bytes');
  const code = kind === 'missing' ? 'NOT_FOUND' : kind === 'short' ? 'OUT_OF_RANGE' : error.code;
  return { code, message: `'${tensor.key}': ${error.message}`, file, key: tensor.key, offset: tensor.entry.offset };
}

function damaged({ key, entry }: Stored, file: string, what: string): VerifyProblem {
  const message = `'${key}' in ${file} at ${entry.offset}: ${what}.`;
  return { code: 'DATA_LOSS', message, file, key, offset: entry.offset };
}

/** undefined if it failed with something that belongs into the report. */
async function attempt<T>(work: () => Promise<T>, report: (error: CheckpointError) => void): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    const rejects = !isCheckpointError(error) || error.code === 'INVALID_ARGUMENT' || error.code === 'ABORTED';
    if (rejects) throw error;
    report(error);
    return undefined;
  }
}

function* batches(tensors: readonly Stored[]): Generator<Stored[]> {
  let batch: Stored[] = [];
  let bytes = 0;
  for (const tensor of tensors) {
    if (batch.length > 0 && bytes + tensor.entry.size > STRING_BATCH_BYTES) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(tensor);
    bytes += tensor.entry.size;
  }
  if (batch.length > 0) yield batch;
}
