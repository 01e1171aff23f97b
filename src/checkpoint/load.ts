import type { Bundle, BundleReadRequest } from '../bundle/index.ts';
import {
  CheckpointError,
  type CheckpointErrorCode,
  type CheckpointErrorContext,
  isCheckpointError,
} from '../errors.ts';
import { inTurns, type Steps, type Turns } from '../steps.ts';
import { HostTensor } from '../tensor/host-tensor.ts';
import { allocateMemory, copyMemory, type MemoryRange } from '../tensor/memory.ts';
import { describeShape, sameShape } from '../tensor/shape.ts';
import type { DeviceMemory } from '../tensor/source.ts';
import type { NormalizedReadOptions } from './options.ts';
import type { Match, RestoreSession } from './restore-session.ts';
import type { Destination } from './trackable.ts';

type Problem = NonNullable<CheckpointErrorContext['problems']>[number];

/**
 * Checks all that the index can tell about these matches before anything is assigned.
 *
 * @throws CheckpointError with every defect in `problems`; its code is that of the first.
 */
export function* checkMatches(matches: readonly Match[], bundle: Bundle, turns: Turns): Steps<void> {
  const problems: Problem[] = [];
  yield* inTurns(turns, matches.length, (first, end) => {
    for (let i = first; i < end; i++) checkMatch(matches[i]!, bundle, problems);
  });
  const first = problems[0];
  if (first === undefined) return;
  const SHOWN = 20;
  const list = problems.slice(0, SHOWN).map(({ message }) => `\n  ${message}`);
  if (problems.length > SHOWN) list.push(`\n  … and ${problems.length - SHOWN} more (see error.problems)`);
  throw new CheckpointError(
    first.code,
    `${bundle.prefix} does not fit the objects; nothing was changed. ${problems.length} of ${matches.length} values:${list.join('')}`,
    { path: bundle.prefix, key: first.key, problems },
  );
}

function checkMatch({ key, value, node }: Match, bundle: Bundle, problems: Problem[]): void {
  const add = (code: CheckpointErrorCode, message: string) => problems.push({ code, key, message });
  const entry = bundle.entries.get(key);
  if (entry === undefined) {
    add('DATA_LOSS', `${key}: the object graph names this key, but the index doesn't have it`);
    return;
  }
  const what = `${key} (${node.description})`;
  if (entry.dtype !== value.dtype && !value.acceptedDTypes?.includes(entry.dtype)) {
    add('DTYPE_MISMATCH', `${what}: stored as ${entry.dtype}, the object is ${value.dtype}`);
  }
  if (value.anyShape !== true && !sameShape(entry.shape, value.shape)) {
    const shapes = `${describeShape(entry.shape)}, the object's is ${describeShape(value.shape)}`;
    add('SHAPE_MISMATCH', `${what}: the stored shape is ${shapes}`);
  } else if (
    isInPlace(value.destination) &&
    entry.dtype === value.dtype &&
    entry.slices === null &&
    entry.byteLength !== memoryOf(value.destination).byteLength
  ) {
    const sizes = `${entry.byteLength} bytes, the object has ${memoryOf(value.destination).byteLength}`;
    add('INVALID_ARGUMENT', `${what}: stored in ${sizes}`);
  }
}

/** A value that was read and is not yet given to its object. */
interface Loaded {
  readonly match: Match;
  give(): void | Promise<void>;
}

/**
 * Reads the matches and assigns them. Memory is filled in place unless `atomic`; what replaces is handed over after
 * everything was verified, or batch by batch with `atomic: false`.
 *
 * @throws CheckpointError with `overwritten`: the keys whose objects don't hold their old value any more.
 */
export async function loadMatches(
  matches: readonly Match[],
  bundle: Bundle,
  session: RestoreSession,
  options: NormalizedReadOptions,
): Promise<void> {
  const overwritten: string[] = [];
  const held: (() => void)[] = [];
  try {
    for (const { value } of matches) {
      if (value.destination.kind === 'device' && value.destination.hold) held.push(value.destination.hold());
    }
    for (const batch of batches(matches, bundle, options)) {
      const loaded = await readBatch(batch, bundle, options);
      // The last moment: what is assigned is assigned together.
      throwIfAborted(options.signal);
      for (const { match, give } of loaded) {
        overwritten.push(match.key);
        const pending = give();
        if (pending !== undefined) await pending;
        session.assigned(match);
      }
    }
  } catch (error) {
    throw withOverwritten(error, overwritten, bundle.prefix);
  } finally {
    for (const release of held) release();
  }
}

/** @throws CheckpointError ABORTED */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CheckpointError('ABORTED', 'The restore was aborted.', { cause: signal.reason });
}

/** One batch, unless replaced values may be assigned as they come: then each batch needs little memory at a time. */
function* batches(matches: readonly Match[], bundle: Bundle, options: NormalizedReadOptions): Generator<Match[]> {
  if (options.atomic !== false) {
    yield [...matches];
    return;
  }
  let batch: Match[] = [];
  let bytes = 0;
  for (const match of matches) {
    const size = isInPlace(match.value.destination) ? 0 : bundle.entries.get(match.key)!.byteLength;
    if (bytes > 0 && bytes + size > options.stagingBytes) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(match);
    bytes += size;
  }
  yield batch;
}

async function readBatch(batch: Match[], bundle: Bundle, options: NormalizedReadOptions): Promise<Loaded[]> {
  const { threads, stagingBytes, verify, deviceChecksum, signal } = options;
  const read = { threads: threads === 0 ? undefined : threads, stagingBytes, verify, deviceChecksum, signal };
  const loaded: Loaded[] = new Array(batch.length);
  const requests: BundleReadRequest[] = [];
  // Strings vary in length and come first: they are small, and their damage shows before any memory is touched.
  const texts = batch.map(({ key }) => key).filter((key) => bundle.entries.get(key)!.dtype === 'string');
  const strings = await bundle.readTensors(texts, read);
  for (const [i, match] of batch.entries()) {
    const { destination } = match.value;
    const entry = bundle.entries.get(match.key)!;
    if (isInPlace(destination)) {
      const into = memoryOf(destination);
      if (options.atomic === true) {
        const copy = { buffer: allocateMemory(into.byteLength, true), byteOffset: 0, byteLength: into.byteLength };
        requests.push({ key: match.key, into: copy });
        const give = () =>
          destination.kind === 'device' ? destination.fill(copy) : copyMemory(destination.bytes, copy);
        loaded[i] = { match, give };
      } else {
        requests.push({ key: match.key, into });
        loaded[i] = { match, give: () => {} };
      }
    } else if (entry.dtype === 'string') {
      const tensor = strings.get(match.key)!;
      loaded[i] = { match, give: () => destination.assign(tensor) };
    } else {
      // Every byte is read or the restore fails. The parts of a sliced tensor are trusted less.
      const tensor =
        entry.slices === null
          ? new HostTensor({ dtype: entry.dtype, shape: entry.shape, data: allocateMemory(entry.byteLength, true) })
          : HostTensor.allocate({ dtype: entry.dtype, shape: entry.shape });
      requests.push({ key: match.key, into: tensor.memory });
      loaded[i] = { match, give: () => destination.assign(tensor) };
    }
  }
  const inPlace = new Set(
    options.atomic === true ? [] : batch.filter(({ value }) => isInPlace(value.destination)).map(({ key }) => key),
  );
  try {
    if (requests.length > 0) await bundle.read(requests, { ...read, onProgress: options.onProgress });
  } catch (error) {
    // The reader names what it wrote to; only memory of the caller's counts, not what was to be handed over.
    const touched = isCheckpointError(error) ? (error.overwritten ?? []) : [];
    throw withOverwritten(
      error,
      touched.filter((key) => inPlace.has(key)),
      bundle.prefix,
      true,
    );
  }
  return loaded;
}

type InPlace = Extract<Destination, { kind: 'memory' | 'device' }>;

function isInPlace(destination: Destination): destination is InPlace {
  return destination.kind !== 'replace';
}

function memoryOf(destination: InPlace): MemoryRange | DeviceMemory {
  return destination.kind === 'memory' ? destination.bytes : destination;
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
