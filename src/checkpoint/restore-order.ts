import { ObjectNumbers } from './object-numbers.ts';

/** Counts restores of one Checkpoint, so that an older one, applied late, never overwrites what a newer one brought. */
export class RestoreOrder {
  #last = 0;
  readonly #of = new ObjectNumbers(new WeakMap());

  next(): number {
    this.#last++;
    return this.#last;
  }

  restoredLater(object: object, than: number): boolean {
    return (this.#of.get(object) ?? 0) > than;
  }

  restored(object: object, by: number): void {
    this.#of.set(object, by);
  }
}
