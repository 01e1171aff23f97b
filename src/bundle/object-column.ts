/** Objects of a page. A page of so many is an object of its own to V8's collector, which never moves it. */
const PAGE = 2 ** 15;

/**
 * Objects, one after the other. An array of a million of them grows by copies, which are garbage: three times its size in all,
 * at every save. Here only the first page does, so that a column of few takes little.
 */
export class ObjectColumn<T extends object> {
  readonly #pages: T[][] = [[]];
  #last: T[] = this.#pages[0]!;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(object: T): void {
    const at = this.#length % PAGE;
    if (at === 0 && this.#length > 0) {
      this.#last = new Array(PAGE);
      this.#pages.push(this.#last);
    }
    this.#last[at] = object;
    this.#length++;
  }

  /** The object at a place that there is. */
  at(index: number): T {
    return this.#pages[Math.floor(index / PAGE)]![index % PAGE]!;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let index = 0; index < this.#length; index++) yield this.at(index);
  }
}
