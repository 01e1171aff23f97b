import type { Bundle, BundleReadRequest } from '../bundle/index.ts';
import { CheckpointError, isCheckpointError } from '../errors.ts';
import type { NativeWarning } from '../native/engine.ts';
import { inTurns, promiseOf, type Turns } from '../steps.ts';
import { HostTensor } from '../tensor/host-tensor.ts';
import { allocateMemory, copyMemory, type MemoryRange } from '../tensor/memory.ts';
import { type InPlace, isInPlace, memoryOf, type StoredRows } from './check-matches.ts';
import { type Give, handOver } from './hand-over.ts';
import type { Match } from './match.ts';
import type { NormalizedReadOptions } from './options.ts';
import type { RestoreSession } from './restore-session.ts';
import { describeWarning, onceEach, warnProcess } from './warnings.ts';

/** Values to be read and given to their objects, and where the index has them. */
interface Batch {
  readonly matches: readonly Match[];
  readonly rows: Int32Array;
  readonly strings: readonly Match[];
}

/** Memory that a match's value is read into. */
class MatchRead implements BundleReadRequest {
  readonly #match: Match;
  readonly row: number;
  readonly into: BundleReadRequest['into'];

  constructor(match: Match, row: number, into: BundleReadRequest['into']) {
    this.#match = match;
    this.row = row;
    this.into = into;
  }

  get key(): string {
    return this.#match.key;
  }
}

/**
 * Reads the matches and assigns them. Memory is filled in place unless `atomic`; what replaces is handed over after
 * everything was verified, or batch by batch with `atomic: false`.
 *
 * @param stored where the index has the matches.
 * @throws CheckpointError with `overwritten`: the keys whose objects don't hold their old value any more.
 */
export async function loadMatches(
  matches: readonly Match[],
  stored: StoredRows,
  bundle: Bundle,
  session: RestoreSession,
  options: NormalizedReadOptions,
  turns: Turns,
): Promise<void> {
  const told = { ...options, onWarning: onceEach(options.onWarning ?? warnProcess) };
  const overwritten: string[] = [];
  const held: (() => void)[] = [];
  try {
    const hold = (first: number, end: number): void => {
      for (let i = first; i < end; i++) {
        const { destination } = matches[i]!.value;
        if (destination.kind === 'device' && destination.hold) held.push(destination.hold());
      }
    };
    await promiseOf(inTurns(turns, matches.length, hold));
    for (const batch of batches({ matches, ...stored }, bundle, options)) {
      const gives = await readBatch(batch, bundle, told, turns);
      await handOver(gives, options.signal, turns, {
        began: (i) => overwritten.push(batch.matches[i]!.key),
        gave: (i) => session.assigned(batch.matches[i]!),
      });
    }
  } catch (error) {
    throw withOverwritten(error, overwritten, bundle.prefix);
  } finally {
    for (const release of held) release();
  }
}

/** One batch, unless replaced values may be assigned as they come: then each batch needs little memory at a time. */
function* batches(all: Batch, bundle: Bundle, options: NormalizedReadOptions): Generator<Batch> {
  if (options.atomic !== false) {
    yield all;
    return;
  }
  let from = 0;
  let bytes = 0;
  const strings = new Set(all.strings);
  const upTo = (end: number): Batch => {
    const matches = all.matches.slice(from, end);
    return { matches, rows: all.rows.subarray(from, end), strings: matches.filter((match) => strings.has(match)) };
  };
  for (let i = 0; i < all.matches.length; i++) {
    const isReplaced = !isInPlace(all.matches[i]!.value.destination);
    const size = isReplaced ? bundle.entries.valueAt(all.rows[i]!).byteLength : 0;
    if (bytes > 0 && bytes + size > options.stagingBytes) {
      yield upTo(i);
      from = i;
      bytes = 0;
    }
    bytes += size;
  }
  yield upTo(all.matches.length);
}

async function readBatch(
  { matches, rows, strings: texts }: Batch,
  bundle: Bundle,
  options: NormalizedReadOptions,
  turns: Turns,
): Promise<(Give | undefined)[]> {
  const { threads, stagingBytes, verify, deviceChecksum, gpuDirect, signal } = options;
  const onWarning = (warning: NativeWarning): void => options.onWarning?.(describeWarning(warning));
  const common = { stagingBytes, verify, deviceChecksum, gpuDirect, signal, onWarning };
  const read = { ...common, threads: threads === 0 ? undefined : threads };
  const gives: (Give | undefined)[] = [];
  const requests: BundleReadRequest[] = [];
  // Strings vary in length and come first: they are small, and their damage shows before any memory is touched.
  const strings = await bundle.readTensors(
    texts.map(({ key }) => key),
    read,
  );
  const prepare = (first: number, end: number): void => {
    for (let i = first; i < end; i++) {
      const match = matches[i]!;
      const { destination } = match.value;
      const row = rows[i]!;
      if (isInPlace(destination)) {
        const into = memoryOf(destination);
        const copy =
          options.atomic === true
            ? { buffer: allocateMemory(into.byteLength, 'fill'), byteOffset: 0, byteLength: into.byteLength }
            : undefined;
        requests.push(new MatchRead(match, row, copy ?? into));
        gives.push(copy && { fill: () => fill(destination, copy) });
        continue;
      }
      const { dtype, shape, slices, byteLength } = bundle.entries.valueAt(row);
      const placed = dtype === 'string' ? undefined : destination.place?.(dtype, shape);
      if (placed !== undefined) {
        requests.push(new MatchRead(match, row, placed.memory));
        gives.push({ placed });
      } else if (dtype === 'string') {
        gives.push({ to: destination, value: strings.get(match.key)! });
      } else {
        // Every byte is read or the restore fails. The parts of a sliced tensor are trusted less.
        const tensor =
          slices === null
            ? new HostTensor({
                dtype,
                shape,
                data: allocateMemory(byteLength, destination.adopts === true ? 'adopt' : 'fill'),
              })
            : HostTensor.allocate({ dtype, shape });
        requests.push(new MatchRead(match, row, tensor.memory));
        gives.push({ to: destination, value: tensor });
      }
    }
  };
  try {
    await promiseOf(inTurns(turns, matches.length, prepare));
    if (requests.length > 0) await bundle.read(requests, { ...read, onProgress: options.onProgress });
  } catch (error) {
    for (const give of gives) if (give !== undefined && 'placed' in give) give.placed.discard();
    // The reader names what it wrote to; only memory of the caller's counts, not what was to be handed over.
    const touched = new Set(isCheckpointError(error) ? (error.overwritten ?? []) : []);
    const inPlace =
      touched.size === 0
        ? []
        : matches.filter(({ key }, i) => gives[i] === undefined && touched.has(key)).map(({ key }) => key);
    throw withOverwritten(error, inPlace, bundle.prefix, true);
  }
  return gives;
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
