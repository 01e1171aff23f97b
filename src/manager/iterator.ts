import { setTimeout as sleep } from 'node:timers/promises';
import { checkSignal, optionsObject } from '../checkpoint/option-checks.ts';
import { CheckpointError, describeValue, invalidArgument } from '../errors.ts';
import { absolutePath, latestCheckpoint } from './latest.ts';

/** Options of {@link checkpointsIterator}. */
export interface CheckpointsIteratorOptions {
  /**
   * Seconds that lie at least between two checkpoints, counted from when the first was handed out.
   *
   * @default 0
   */
  minIntervalSeconds?: number;
  /** Seconds to wait for a new checkpoint before the iteration ends. Default: for ever. */
  timeoutSeconds?: number;
  /** Ends the iteration with ABORTED, also while it waits. */
  signal?: AbortSignal;
}

const POLL_SECONDS = 0.25;
/** Milliseconds. A timer that is asked for more fires at once. */
const LONGEST_TIMER = 2 ** 31 - 1;
const NAMES: ReadonlySet<string> = new Set<keyof CheckpointsIteratorOptions>([
  'minIntervalSeconds',
  'timeoutSeconds',
  'signal',
]);

/**
 * Hands out each new checkpoint of a directory as it appears, so that an evaluation job follows a training job:
 * tf.train.checkpoints_iterator. Looks only when asked for the next one: checkpoints that came and went meanwhile are
 * missed. The directory need not exist yet.
 *
 * @example
 * for await (const path of checkpointsIterator('/tmp/run', { timeoutSeconds: 600 })) {
 *   (await checkpoint.restore(path)).expectPartial();
 *   evaluate();
 * }
 * @throws CheckpointError INVALID_ARGUMENT at once; ABORTED from the iteration.
 */
export function checkpointsIterator(
  directory: string,
  options: CheckpointsIteratorOptions = {},
): AsyncIterableIterator<string> {
  const what = 'checkpointsIterator';
  const given = optionsObject(options, NAMES, what) as CheckpointsIteratorOptions;
  const { minIntervalSeconds = 0, timeoutSeconds = Number.POSITIVE_INFINITY, signal } = given;
  for (const [name, value] of Object.entries({ minIntervalSeconds, timeoutSeconds })) {
    if (typeof value !== 'number' || !(value >= 0)) {
      throw invalidArgument(`${what}: ${name} must be a number of seconds, 0 or more, not ${describeValue(value)}.`);
    }
  }
  return follow(absolutePath(directory, what), minIntervalSeconds, timeoutSeconds, checkSignal(signal, what));
}

async function* follow(
  directory: string,
  minIntervalSeconds: number,
  timeoutSeconds: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<string, void, undefined> {
  let last: string | null = null;
  while (true) {
    const next = await waitForNew(directory, last, timeoutSeconds, signal);
    if (next === null) return;
    const handedOut = performance.now();
    last = next;
    yield next;
    await pause(minIntervalSeconds - (performance.now() - handedOut) / 1000, signal);
  }
}

/** Null when the time is over. */
async function waitForNew(
  directory: string,
  last: string | null,
  timeoutSeconds: number,
  signal: AbortSignal | undefined,
): Promise<string | null> {
  const start = performance.now();
  while (true) {
    throwIfAborted(signal);
    const latest = await latestCheckpoint(directory);
    if (latest !== null && latest !== last) return latest;
    const left = timeoutSeconds - (performance.now() - start) / 1000;
    if (left <= 0) return null;
    await pause(Math.min(POLL_SECONDS, left), signal);
  }
}

async function pause(seconds: number, signal: AbortSignal | undefined): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (true) {
    throwIfAborted(signal);
    const left = end - performance.now();
    if (left <= 0) return;
    try {
      await sleep(Math.min(left, LONGEST_TIMER), undefined, { signal });
    } catch (error) {
      throwIfAborted(signal);
      throw error;
    }
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new CheckpointError('ABORTED', 'Waiting for checkpoints was aborted.', { cause: signal.reason });
  }
}
