import { float64Column, freeColumns, int32Column, uint32Column } from '../native/columns.ts';

type Numbers = Int32Array | Uint32Array | Float64Array;

/**
 * Numbers, one after the other. An array of a million of them grows by copies, which are garbage, and is looked through
 * by every garbage collection; this memory isn't, and what was asked for and not used is never touched.
 */
export class NumberColumn<T extends Numbers> {
  readonly #make: (length: number) => T;
  #numbers: T;
  #length = 0;

  private constructor(make: (length: number) => T, capacity: number) {
    this.#make = make;
    this.#numbers = make(capacity);
  }

  /** @param capacity of numbers that there will about be; more find room, too. */
  static int32(capacity = 64): NumberColumn<Int32Array> {
    return new NumberColumn(int32Column, capacity);
  }

  static uint32(capacity = 64): NumberColumn<Uint32Array> {
    return new NumberColumn(uint32Column, capacity);
  }

  static float64(capacity = 64): NumberColumn<Float64Array> {
    return new NumberColumn(float64Column, capacity);
  }

  get length(): number {
    return this.#length;
  }

  push(number: number): void {
    if (this.#length === this.#numbers.length) this.#grow();
    this.#numbers[this.#length++] = number;
  }

  /** The number at a place that there is. */
  at(index: number): number {
    return this.#numbers[index]!;
  }

  /** All of them, as a view: valid until the next push. */
  view(): T {
    return this.#numbers.subarray(0, this.#length) as T;
  }

  /** Once nobody asks it, or what it gave, any more. */
  free(): void {
    freeColumns(this.#numbers);
  }

  #grow(): void {
    const grown = this.#make(2 * this.#length + 64);
    grown.set(this.#numbers);
    freeColumns(this.#numbers);
    this.#numbers = grown;
  }
}
