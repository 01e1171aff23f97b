import { type Bundle, type BundleReads, newTensor } from '../bundle/index.ts';
import { CheckpointError, isCheckpointError } from '../errors.ts';
import { freeColumns, int32Column, uint8Column } from '../native/columns.ts';
import type { NativeWarning } from '../native/engine.ts';
import { inTurns, promiseOf, type Turns } from '../steps.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { allocateMemory, copyMemory, type MemoryRange } from '../tensor/memory.ts';
import type { DeviceMemory } from '../tensor/source.ts';
import { type InPlace, isInPlace, memoryOf, type StoredRows } from './check-matches.ts';
import { type Give, handOver } from './hand-over.ts';
import type { Matches } from './matches.ts';
import type { NormalizedReadOptions } from './options.ts';
import type { RestoreSession } from './restore-session.ts';
import { describeWarning, onceEach, warnProcess } from './warnings.ts';

/** What is to be read. */
interface Reading {
  readonly matches: Matches;
  readonly stored: StoredRows;
  readonly bundle: Bundle;
  readonly options: NormalizedReadOptions;
  readonly turns: Turns;
}

/** The matches [first, end), and which of them are strings. */
interface Batch {
  readonly first: number;
  readonly end: number;
  readonly strings: readonly number[];
}

/** What was read elsewhere than into its object's own memory. */
interface Elsewhere {
  readonly gives: readonly Give[];
  /** The match of each, in their order. */
  readonly matchOf: readonly number[];
  /** By match of the batch: 1 + its place among those, or 0. */
  readonly place: Int32Array;
}

/**
 * Reads the matches and assigns them. Memory is filled in place unless `atomic`; what replaces is handed over after
 * everything was verified, or batch by batch with `atomic: false`.
 *
 * @param stored where the index has the matches.
 * @throws CheckpointError with `overwritten`: the keys whose objects don't hold their old value any more.
 */
export async function loadMatches(
  matches: Matches,
  stored: StoredRows,
  bundle: Bundle,
  session: RestoreSession,
  options: NormalizedReadOptions,
  turns: Turns,
): Promise<void> {
  const told = { ...options, onWarning: onceEach(options.onWarning ?? warnProcess) };
  const reading: Reading = { matches, stored, bundle, options: told, turns };
  /** By match: 1 where its object doesn't hold its old value any more. */
  const overwritten = uint8Column(matches.length);
  const held: (() => void)[] = [];
  try {
    const hold = (first: number, end: number): void => {
      for (let i = first; i < end; i++) {
        const { destination } = matches.value(i);
        if (destination.kind === 'device' && destination.hold) held.push(destination.hold());
      }
    };
    await promiseOf(inTurns(turns, matches.length, hold));
    for (const batch of batches(reading)) {
      const { gives, matchOf, place } = await readBatch(reading, batch);
      const filled = (from: number, to: number): void => {
        for (let at = from; at < to; at++) {
          if (place[at] !== 0) continue;
          overwritten[batch.first + at] = 1;
          session.assigned(matches, batch.first + at);
        }
      };
      await promiseOf(inTurns(turns, place.length, filled));
      freeColumns(place);
      await handOver(gives, options.signal, turns, {
        began(give) {
          overwritten[matchOf[give]!] = 1;
        },
        gave: (give) => session.assigned(matches, matchOf[give]!),
      });
    }
  } catch (error) {
    const keys: string[] = [];
    overwritten.forEach((is, i) => {
      if (is === 1) keys.push(matches.key(i));
    });
    throw withOverwritten(error, keys, bundle.prefix);
  } finally {
    for (const release of held) release();
    freeColumns(overwritten);
  }
}

/** One batch, unless replaced values may be assigned as they come: then each batch needs little memory at a time. */
function* batches({ matches, stored, bundle, options }: Reading): Generator<Batch> {
  let first = 0;
  let bytes = 0;
  let string = 0;
  const upTo = (end: number): Batch => {
    const from = string;
    while (string < stored.strings.length && stored.strings[string]! < end) string++;
    return { first, end, strings: stored.strings.slice(from, string) };
  };
  if (options.atomic === false) {
    for (let i = 0; i < matches.length; i++) {
      const isReplaced = !isInPlace(matches.value(i).destination);
      const size = isReplaced ? bundle.entries.valueAt(stored.rows[i]!).byteLength : 0;
      if (bytes > 0 && bytes + size > options.stagingBytes) {
        yield upTo(i);
        first = i;
        bytes = 0;
      }
      bytes += size;
    }
  }
  yield upTo(matches.length);
}

async function readBatch(reading: Reading, batch: Batch): Promise<Elsewhere> {
  const { matches, stored, bundle, options, turns } = reading;
  const { threads, stagingBytes, verify, deviceChecksum, gpuDirect, signal } = options;
  const onWarning = (warning: NativeWarning): void => options.onWarning?.(describeWarning(warning));
  const common = { stagingBytes, verify, deviceChecksum, gpuDirect, signal, onWarning };
  const read = { ...common, threads: threads === 0 ? undefined : threads };
  // Strings vary in length and come first: they are small, and their damage shows before any memory is touched.
  const texts = batch.strings.map((i) => matches.key(i));
  const strings = texts.length === 0 ? new Map<string, HostTensor>() : await bundle.readTensors(texts, read);
  const gives: Give[] = [];
  const matchOf: number[] = [];
  /** What is read into for each of them; undefined where nothing is. */
  const memory: (MemoryRange | DeviceMemory | undefined)[] = [];
  const { first } = batch;
  const place = int32Column(batch.end - first);
  const giveLater = (i: number, give: Give, from: MemoryRange | DeviceMemory | undefined): void => {
    gives.push(give);
    matchOf.push(i);
    memory.push(from);
    place[i - first] = gives.length;
  };
  const prepare = (from: number, to: number): void => {
    for (let i = first + from; i < first + to; i++) {
      const { destination } = matches.value(i);
      if (isInPlace(destination)) {
        if (options.atomic !== true) continue;
        const { byteLength } = memoryOf(destination);
        const copy = { buffer: allocateMemory(byteLength, 'fill'), byteOffset: 0, byteLength };
        giveLater(i, { fill: () => fill(destination, copy) }, copy);
        continue;
      }
      const info = bundle.entries.valueAt(stored.rows[i]!);
      if (info.dtype === 'string') {
        giveLater(i, { to: destination, value: strings.get(matches.key(i))! }, undefined);
        continue;
      }
      const placed = destination.place?.(info.dtype, info.shape);
      if (placed !== undefined) {
        giveLater(i, { placed }, placed.memory);
        continue;
      }
      const tensor = newTensor(info, destination.adopts === true ? 'adopt' : 'fill');
      giveLater(i, { to: destination, value: tensor }, tensor.memory);
    }
  };
  const reads: BundleReads = {
    length: place.length,
    row: (at) => stored.rows[first + at]!,
    into: (at) =>
      place[at] === 0 ? memoryOf(matches.value(first + at).destination as InPlace) : memory[place[at]! - 1],
  };
  try {
    await promiseOf(inTurns(turns, reads.length, prepare));
    await bundle.read(reads, { ...read, onProgress: options.onProgress });
  } catch (error) {
    for (const give of gives) if ('placed' in give) give.placed.discard();
    // The reader names what it wrote to; only memory of the caller's counts, not what was to be handed over.
    const touched = new Set(isCheckpointError(error) ? (error.overwritten ?? []) : []);
    const inPlace: string[] = [];
    for (let i = first; touched.size > 0 && i < batch.end; i++) {
      if (place[i - first] === 0 && touched.has(matches.key(i))) inPlace.push(matches.key(i));
    }
    throw withOverwritten(error, inPlace, bundle.prefix, true);
  }
  return { gives, matchOf, place };
}

function fill(destination: InPlace, from: MemoryRange): void | Promise<void> {
  if (destination.kind === 'device') return destination.fill(from);
  copyMemory(destination.bytes, from);
}

/** The same error, with the keys that were overwritten: those it names already (or `replace`s), and these. */
function withOverwritten(error: unknown, keys: readonly string[], prefix: string, replace = false): unknown {
  if (!isCheckpointError(error)) {
    // An object refused its value: the message is its own.
    const message = error instanceof Error ? error.message : String(error);
    return new CheckpointError('INVALID_ARGUMENT', `A value could not be given to its object: ${message}`, {
      path: prefix,
      overwritten: keys,
      cause: error,
    });
  }
  const overwritten = replace ? [...keys] : [...keys, ...(error.overwritten ?? [])];
  const { code, path, key, offset, errno, syscall, problems } = error;
  const said =
    overwritten.length === 0 || !replace ? '' : ` ${overwritten.length} objects had already been overwritten.`;
  return new CheckpointError(code, `${error.message}${said}`, {
    path,
    key,
    offset,
    errno,
    syscall,
    problems,
    overwritten: overwritten.length === 0 ? undefined : overwritten,
    cause: error.cause ?? error,
  });
}
