import type { Serializable } from '../checkpoint/index.ts';
import { optionsObject } from '../checkpoint/option-checks.ts';
import { CheckpointError, invalidArgument } from '../errors.ts';

type Iterated<T> = AsyncIterable<T> | Iterable<T>;

/** A `tf.data.Dataset`, as far as it is needed. */
export interface DatasetLike<T> {
  iterator(): Promise<{ next(): Promise<IteratorResult<T>> }>;
}

/** Data that can be gone through again and again: a dataset, an iterable, or a function that makes an iterable. */
export type ResumableSource<T> = DatasetLike<T> | Iterated<T> | (() => Iterated<T> | Promise<Iterated<T>>);

/** Options of {@link resumable}. */
export interface ResumableOptions<T> {
  /**
   * The elements of pass `pass` from number `position` on, both counted from 0, for a source that can find them faster
   * than by reading what lies before. Default: they are read and skipped, and their tensors disposed.
   */
  seek?: (position: number, pass: number) => Iterated<T> | Promise<Iterated<T>>;
}

/** Data with a cursor that is saved; see {@link resumable}. */
export interface Resumable<T> extends AsyncIterable<T>, Serializable {
  /** Passes that are over, ended early or not. */
  readonly pass: number;
  /** Elements handed out in this pass. */
  readonly position: number;
}

const WHAT = 'resumable';

/**
 * Data for a training loop of your own that goes on, after a restore, at the element after the last one that was
 * trained on. It counts what it hands out; put it into the Checkpoint beside the model, and save between two elements.
 *
 * ```ts
 * const batches = resumable(tf.data.csv(url).shuffle(1000, 'seed').batch(32));
 * const checkpoint = new Checkpoint({ model, batches }, { adapters: [tfjs(tf)] });
 * const manager = new CheckpointManager(checkpoint, { directory: './run-1', maxToKeep: 3 });
 * await manager.restoreOrInitialize();
 * while (batches.pass < 10) {
 *   for await (const { xs, ys } of batches) {
 *     await model.trainOnBatch(xs, ys);
 *     tf.dispose([xs, ys]);
 *     await manager.save({ enableAsync: true });
 *   }
 * }
 * ```
 *
 * Iterating again begins the next pass, also where the last one was left early; only after a restore it goes on. An
 * iteration under way follows a restore too. The source has to give the same elements in the same order in each
 * process: shuffle with a seed. A `tf.data` shuffle draws anew at each pass; in a new process the passes before are
 * opened, not read, so that it draws the same. What reads ahead of the training (`prefetch`) goes into the source, not
 * around this. `model.fitDataset` needs none of it: `backupAndRestore` finds its place by itself.
 *
 * @throws CheckpointError INVALID_ARGUMENT if the source isn't one, or can be gone through only once; while iterating,
 *   OUT_OF_RANGE if it ends before the position that was restored.
 */
export function resumable<T>(source: ResumableSource<T>, options?: ResumableOptions<T>): Resumable<T> {
  const { seek } = optionsObject(options, new Set(['seek']), WHAT) as ResumableOptions<T>;
  if (seek !== undefined && typeof seek !== 'function') throw invalidArgument(`${WHAT}: seek must be a function.`);
  return new Cursor(opener(source), seek);
}

type Elements<T> = AsyncIterator<T> | Iterator<T>;

/** Begins the next pass over a source. */
type Open<T> = () => Promise<Elements<T>>;

function opener<T>(source: ResumableSource<T>): Open<T> {
  if (typeof source === 'function') return async () => iterate(await source());
  if (typeof (source as Partial<DatasetLike<T>> | null)?.iterator === 'function') {
    return async () => (await (source as DatasetLike<T>).iterator()) as AsyncIterator<T>;
  }
  const iterable = source as Iterated<T>;
  const iterator: unknown = isIterable(iterable) ? iterate(iterable) : undefined;
  if (iterator === undefined || iterator === source) {
    throw invalidArgument(
      iterator === undefined
        ? `${WHAT} takes a tf.data Dataset, an iterable or a function that returns one, not ${String(source)}.`
        : `${WHAT}: an iterator or a running generator can be gone through once. Give the function that makes it.`,
    );
  }
  return async () => iterate(iterable);
}

class Cursor<T> implements Resumable<T> {
  readonly #open: Open<T>;
  readonly #seek: ResumableOptions<T>['seek'];
  #pass = 0;
  #position = 0;
  /** Passes that the source has been asked for. */
  #opened = 0;
  /** The next iteration goes on at the position rather than begin a pass. */
  #goesOn = true;
  /** The one iteration that may go on. */
  #active: object | undefined;
  /** Counts restores. */
  #restores = 0;

  constructor(open: Open<T>, seek: ResumableOptions<T>['seek']) {
    this.#open = open;
    this.#seek = seek;
  }

  get pass(): number {
    return this.#pass;
  }

  get position(): number {
    return this.#position;
  }

  serialize(): string {
    return JSON.stringify({ pass: this.#pass, position: this.#position });
  }

  deserialize(text: string): void {
    const { pass, position } = JSON.parse(text) as { pass?: unknown; position?: unknown };
    if (!isCount(pass) || !isCount(position)) {
      throw new CheckpointError('DATA_LOSS', `${WHAT}: this is no cursor: ${text}`);
    }
    this.#pass = pass;
    this.#position = position;
    this.#goesOn = true;
    this.#restores++;
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    const iteration = {};
    let elements: Elements<T> | undefined;
    let restores = 0;
    const end = async () => {
      const ended = elements;
      elements = undefined;
      await ended?.return?.();
    };
    const next = async (): Promise<IteratorResult<T>> => {
      if (elements === undefined) {
        // Only now: an iteration from which nothing is read is none.
        if (!this.#goesOn) this.#beginPass();
        this.#active = iteration;
      }
      if (this.#active !== iteration) {
        throw invalidArgument(`${WHAT}: another iteration has begun since: a cursor has one position.`);
      }
      if (restores !== this.#restores) await end();
      if (elements === undefined) {
        restores = this.#restores;
        this.#goesOn = false;
        elements = await this.#elementsFrom(this.#position, this.#pass);
      }
      const result = await elements.next();
      // Restored while the element was under way: the place to go on at is another one.
      if (restores !== this.#restores) {
        if (result.done !== true) disposeTensors(result.value);
        return await next();
      }
      if (result.done === true) {
        elements = undefined;
        this.#beginPass();
        this.#goesOn = true;
        return { done: true, value: undefined };
      }
      this.#position++;
      return { done: false, value: result.value };
    };
    let isOver = false;
    return {
      next: async () => {
        if (isOver) return { done: true, value: undefined };
        const result = await next();
        isOver = result.done === true;
        return result;
      },
      return: async () => {
        isOver = true;
        await end();
        return { done: true, value: undefined };
      },
    };
  }

  #beginPass(): void {
    this.#pass++;
    this.#position = 0;
  }

  async #elementsFrom(position: number, pass: number): Promise<Elements<T>> {
    if (this.#seek !== undefined) return iterate(await this.#seek(position, pass));
    let elements = await this.#openNext();
    while (this.#opened <= pass) {
      await elements.return?.();
      elements = await this.#openNext();
    }
    for (let skipped = 0; skipped < position; skipped++) {
      const { done, value } = await elements.next();
      if (done) {
        throw new CheckpointError(
          'OUT_OF_RANGE',
          `${WHAT}: the restored position is ${position} of pass ${pass}, and the source ends after ${skipped} elements: it isn't the one that was saved.`,
        );
      }
      disposeTensors(value);
    }
    return elements;
  }

  async #openNext(): Promise<Elements<T>> {
    this.#opened++;
    return await this.#open();
  }
}

function iterate<T>(iterable: Iterated<T>): Elements<T> {
  if (!isIterable(iterable)) throw invalidArgument(`${WHAT}: the function must return an iterable.`);
  return Symbol.asyncIterator in iterable ? iterable[Symbol.asyncIterator]() : iterable[Symbol.iterator]();
}

function isIterable(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Symbol.asyncIterator in value || Symbol.iterator in value;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Disposes of the tensors in an element that nobody will see: a tensor, or arrays and objects that hold some. */
function disposeTensors(value: unknown): void {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
  const tensor = value as { dataId?: unknown; dispose?: unknown };
  if (tensor.dataId !== undefined && typeof tensor.dispose === 'function') {
    tensor.dispose();
    return;
  }
  const prototype = Object.getPrototypeOf(value);
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) return;
  for (const item of Object.values(value)) disposeTensors(item);
}
