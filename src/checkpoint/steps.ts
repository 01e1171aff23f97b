/**
 * Code that waits only where it must. A save that needs nothing asynchronous has to be submitted before JS yields, so
 * its steps can't be an async function: they are a generator that yields the promises it has to wait for, and one that
 * yields none runs to its end in the caller's turn.
 */
export type Steps<T> = Generator<Promise<unknown>, T, unknown>;

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
