/**
 * Code that waits only where it must. A save that needs nothing asynchronous has to be submitted before JS yields, so
 * its steps can't be an async function: they are a generator that yields the promises it has to wait for, and one that
 * yields none runs to its end in the caller's turn.
 */
export type Steps<T> = Generator<Promise<unknown>, T, unknown>;

/**
 * How long computations share the event loop: one asks `due` between pieces of its work and then waits for `next()`,
 * so that timers and I/O of the program around it are never held up for long, however many tensors there are.
 */
export interface Turns {
  readonly due: boolean;
  next(): Promise<void>;
}

/** All in one turn, however long it takes: what has to be on its way when the caller goes on. */
export const ONE_TURN: Turns = { due: false, next: () => Promise.resolve() };

/** What all computations together take of one iteration of the event loop before others get their turn, milliseconds. */
const TURN_MILLISECONDS = 2;

/** When this iteration's share is used up; undefined before anything was computed in it. */
let turnEnds: number | undefined;
/** Whether it began among the immediates, rather than with I/O or in the caller's turn. */
let amongImmediates = false;

/** When this iteration's share ends; it begins here where nothing was computed before. */
function turnEnd(immediate = false): number {
  return turnEnds ?? beginTurn(immediate);
}

function beginTurn(immediate: boolean): number {
  // The loop comes to its immediates once an iteration: whatever begins before is of the same one.
  setImmediate(() => {
    turnEnds = undefined;
  });
  turnEnds = performance.now() + TURN_MILLISECONDS;
  amongImmediates = immediate;
  return turnEnds;
}

/**
 * Gives way to the event loop every few milliseconds. Computations that follow one another without waiting, or go on side
 * by side, share them: else their turns would add up to one long one.
 */
export class ShortTurns implements Turns {
  constructor() {
    turnEnd();
  }

  get due(): boolean {
    return performance.now() >= turnEnd();
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      const begin = (): void => {
        turnEnd(true);
        resolve();
      };
      // Behind I/O the loop comes to immediates before it comes to timers, whose turn it is.
      setImmediate(amongImmediates ? begin : () => setImmediate(begin));
    });
  }
}

/** Does `work` for [0, count) piece by piece, in as many turns as that takes. A piece should take well below a millisecond, in cold code, too. */
export function* inTurns(
  turns: Turns,
  count: number,
  work: (from: number, to: number) => void,
  piece = 64,
): Steps<void> {
  for (let from = 0; from < count; from += piece) {
    if (turns.due) yield turns.next();
    work(from, Math.min(count, from + piece));
  }
}

/** Waits for `value` if it is a promise: `const x = yield* wait(maybePromise)`. */
export function* wait<T>(value: T | PromiseLike<T>): Steps<T> {
  if (!isThenable(value)) return value;
  return (yield Promise.resolve(value)) as T;
}

/** Runs steps. `done` or `failed` is called in this turn if nothing was waited for. */
export function runSteps<T>(steps: Steps<T>, done: (value: T) => void, failed: (error: unknown) => void): void {
  const advance = (resume: () => IteratorResult<Promise<unknown>, T>): void => {
    let result: IteratorResult<Promise<unknown>, T>;
    try {
      result = resume();
    } catch (error) {
      failed(error);
      return;
    }
    if (result.done) {
      done(result.value);
      return;
    }
    result.value.then(
      (value) => advance(() => steps.next(value)),
      (error) => advance(() => steps.throw(error)),
    );
  };
  advance(() => steps.next());
}

/** {@link runSteps} as a promise. */
export function promiseOf<T>(steps: Steps<T>): Promise<T> {
  return new Promise((resolve, reject) => runSteps(steps, resolve, reject));
}

/** The result of steps that wait for nothing: those of {@link ONE_TURN}. */
export function resultOf<T>(steps: Steps<T>): T {
  const step = steps.next();
  if (!step.done) throw new Error('unreachable: these steps never wait');
  return step.value;
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as Partial<PromiseLike<unknown>> | null | undefined)?.then === 'function';
}

/** A promise with its ends, whose rejection never counts as unhandled: others may be the ones that are awaited. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((onDone, onError) => {
    resolve = onDone;
    reject = onError;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}
