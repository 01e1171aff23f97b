import { hostTensorNumber } from '../tensor/host-tensor.ts';

/** Tensors whose numbers share a table. */
const PAGE = 1024;

/**
 * Numbers of objects, by identity: a Map, but for tensors, whose own numbers lead to theirs. A Map of a million objects
 * takes a quarter of a second to fill, and 100 ms of it at once when it grows.
 */
export class ObjectNumbers {
  readonly #others: WeakMap<object, number>;
  /** By a tensor's own number, in pages: the number here + 1, or 0. */
  readonly #pages = new Map<number, Uint32Array>();
  #lastPage = -1;
  #last: Uint32Array | undefined;

  /** @param others holds the numbers of other objects: a Map, or a WeakMap not to keep them alive. */
  constructor(others: WeakMap<object, number> = new Map()) {
    this.#others = others;
  }

  has(object: object): boolean {
    return this.get(object) !== undefined;
  }

  get(object: object): number | undefined {
    const own = hostTensorNumber(object);
    if (own < 0) return this.#others.get(object);
    const number = this.#page(own)?.[own % PAGE];
    return number === undefined || number === 0 ? undefined : number - 1;
  }

  set(object: object, number: number): void {
    const own = hostTensorNumber(object);
    if (own < 0) this.#others.set(object, number);
    else this.#pageOf(own)[own % PAGE] = number + 1;
  }

  /** The number of an object, which is from now on this one if it has none. */
  getOrSet(object: object, number: number): number {
    const own = hostTensorNumber(object);
    if (own < 0) {
      const given = this.#others.get(object);
      if (given === undefined) this.#others.set(object, number);
      return given ?? number;
    }
    const page = this.#pageOf(own);
    const given = page[own % PAGE]!;
    if (given !== 0) return given - 1;
    page[own % PAGE] = number + 1;
    return number;
  }

  /** The page of a number, made where there is none. */
  #pageOf(own: number): Uint32Array {
    let page = this.#page(own);
    if (page === undefined) {
      page = new Uint32Array(PAGE);
      this.#lastPage = Math.floor(own / PAGE);
      this.#last = page;
      this.#pages.set(this.#lastPage, page);
    }
    return page;
  }

  #page(own: number): Uint32Array | undefined {
    const at = Math.floor(own / PAGE);
    if (at === this.#lastPage) return this.#last;
    const page = this.#pages.get(at);
    if (page !== undefined) {
      this.#lastPage = at;
      this.#last = page;
    }
    return page;
  }
}
