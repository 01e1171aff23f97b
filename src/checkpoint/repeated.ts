/**
 * What a save finds of each tensor, one after the other or in whatever order. In a training loop it finds the same at every
 * save: as long as all are those of last time, none is stored.
 */
export class Repeated<T> {
  readonly #last: readonly T[];
  /** From the first one that is another. */
  #own: T[] | undefined;
  #length: number;

  /** @param length of a list that is filled in in any order, each row once; else it grows. */
  constructor(last: readonly T[] = [], length = 0) {
    this.#last = last;
    this.#length = length;
    if (length > 0 && length !== last.length) this.#own = new Array(length);
  }

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    this.set(this.#length++, item);
  }

  set(row: number, item: T): void {
    if (this.#own === undefined) {
      if (row < this.#last.length && this.#last[row] === item) return;
      this.#own = this.#last.slice();
    }
    this.#own[row] = item;
  }

  /** The item of a row that there is. */
  at(row: number): T {
    return (this.#own ?? this.#last)[row]!;
  }

  /** All of them; the very list of last time where they are the same. Once all are there. */
  list(): readonly T[] {
    const items = this.#own ?? this.#last;
    return items.length === this.#length ? items : items.slice(0, this.#length);
  }
}
