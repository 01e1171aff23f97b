import { describeValue, invalidArgument } from '../errors.ts';
import { optionsObject } from './option-checks.ts';

const brand = Symbol.for('tensor-checkpoint.Counter');

const OPTION_NAMES: ReadonlySet<string> = new Set(['dtype']);

export type CounterDType = 'int64' | 'int32';

/**
 * An integer that is saved as a scalar variable: steps, epochs, the number of a save.
 *
 * Python sees `tf.Variable(0, dtype=tf.int64)`; with `dtype: 'int32'` it sees `tf.Variable(0)`. A restored scalar may
 * be of either dtype, and the counter then keeps the dtype that it found, so that the other side can read it again.
 *
 * @example
 * const step = new Counter();
 * step.increment(); // 1
 */
export class Counter {
  #value = 0;
  #dtype: CounterDType;

  /**
   * @param value a safe integer, within the dtype's range. Default 0.
   * @throws CheckpointError INVALID_ARGUMENT for anything else.
   */
  constructor(value = 0, options: { dtype?: CounterDType } = {}) {
    const { dtype = 'int64' } = optionsObject(options, OPTION_NAMES, 'Counter') as { dtype?: CounterDType };
    if (dtype !== 'int64' && dtype !== 'int32') {
      throw invalidArgument(`Counter: dtype must be 'int64' or 'int32', not ${describeValue(dtype)}.`);
    }
    this.#dtype = dtype;
    this.value = value;
    Object.defineProperty(this, brand, { value: true });
  }

  get value(): number {
    return this.#value;
  }

  set value(value: number) {
    checkRange(value, this.#dtype);
    this.#value = value;
  }

  get dtype(): CounterDType {
    return this.#dtype;
  }

  /** Adds `by` (default 1) and returns the new value. */
  increment(by = 1): number {
    if (!Number.isSafeInteger(by)) {
      throw invalidArgument(`Counter.increment: by must be an integer, not ${describeValue(by)}.`);
    }
    this.value = this.#value + by;
    return this.#value;
  }

  /** @internal Takes over a restored scalar together with its dtype. */
  restore(value: number, dtype: CounterDType): void {
    checkRange(value, dtype);
    this.#dtype = dtype;
    this.#value = value;
  }

  toJSON(): number {
    return this.#value;
  }

  valueOf(): number {
    return this.#value;
  }
}

/** Whether `value` is a {@link Counter}, of this copy of the package or of another one in the process. */
export function isCounter(value: unknown): value is Counter {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[brand] === true;
}

function checkRange(value: unknown, dtype: CounterDType): void {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
    throw invalidArgument(`A Counter holds an integer between ±(2^53 − 1), not ${describeValue(value)}.`);
  }
  if (dtype === 'int32' && (value > 0x7fffffff || value < -0x80000000)) {
    throw invalidArgument(`${value} does not fit this int32 Counter; use new Counter(value) for int64.`);
  }
}
