/**
 * Names, one after the other, as a walk finds them. In a training loop it finds the same ones at every save: as long as they
 * are those of last time, none is stored.
 */
export class RepeatedNames {
  readonly #last: readonly string[];
  /** From the first one that is another. */
  #own: string[] | undefined;
  #length = 0;

  constructor(last: readonly string[] = []) {
    this.#last = last;
  }

  get length(): number {
    return this.#length;
  }

  push(name: string): void {
    const at = this.#length++;
    if (this.#own === undefined && this.#last[at] === name) return;
    this.#own ??= this.#last.slice(0, at);
    this.#own.push(name);
  }

  /** The name at a place that there is. */
  at(index: number): string {
    return (this.#own ?? this.#last)[index]!;
  }

  /** All of them; those of last time where they are the same. To be called when none is to come. */
  list(): readonly string[] {
    if (this.#own !== undefined) return this.#own;
    return this.#length === this.#last.length ? this.#last : this.#last.slice(0, this.#length);
  }
}
