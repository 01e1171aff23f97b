/**
 * 32-bit integers, one after the other. An array of a million of them grows by copies, which are garbage, and is looked
 * through by every garbage collection; this memory isn't.
 */
export class NumberColumn {
  #numbers: Int32Array;
  #length = 0;

  constructor(capacity = 64) {
    this.#numbers = new Int32Array(capacity);
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
  view(): Int32Array {
    return this.#numbers.subarray(0, this.#length);
  }

  #grow(): void {
    const grown = new Int32Array(2 * this.#length + 64);
    grown.set(this.#numbers);
    this.#numbers = grown;
  }
}
