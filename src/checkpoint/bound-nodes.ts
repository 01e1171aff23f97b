import { NumberColumn } from '../bundle/number-column.ts';
import { ObjectColumn } from '../bundle/object-column.ts';
import { int32Column } from '../native/columns.ts';
import type { TrackableNode } from './trackable.ts';

/** The stored nodes that have an object, in the order in which they were reached. */
export class BoundNodes {
  readonly #ids: NumberColumn<Int32Array>;
  readonly #nodes = new ObjectColumn<TrackableNode>();
  readonly #reachedFrom: NumberColumn<Int32Array>;
  /** By stored node: as the how many-eth it was reached, from 1 on, or 0. */
  readonly #number: Int32Array;
  #hasListeners = false;

  /** @param nodeCount how many stored nodes there are. */
  constructor(nodeCount: number) {
    this.#ids = NumberColumn.int32(nodeCount);
    this.#reachedFrom = NumberColumn.int32(nodeCount);
    this.#number = int32Column(nodeCount);
  }

  get length(): number {
    return this.#ids.length;
  }

  /** @param from the stored node over whose edge it was reached, −1 for the root. */
  bind(id: number, node: TrackableNode, from: number): void {
    this.#ids.push(id);
    this.#nodes.push(node);
    this.#reachedFrom.push(from);
    this.#number[id] = this.#ids.length;
    this.#hasListeners ||= node.afterRestore !== undefined;
  }

  has(id: number): boolean {
    return this.#number[id] !== 0;
  }

  /** The object of a stored node that has one. */
  node(id: number): TrackableNode {
    return this.#nodes.at(this.#number[id]! - 1);
  }

  /** The stored nodes in the order in which they were reached: from place 0 on. */
  id(place: number): number {
    return this.#ids.at(place);
  }

  /** The objects that have one of these at or below them and want to hear of a restore, children before parents. */
  listenersAbove(objects: Iterable<object>): TrackableNode[] {
    if (!this.#hasListeners) return [];
    // An object may have been reached by several paths: all that lead to it are above it.
    const placesOf = new Map<object, number[]>();
    for (let place = 0; place < this.length; place++) {
      const { identity } = this.#nodes.at(place);
      const places = placesOf.get(identity);
      if (places === undefined) placesOf.set(identity, [place]);
      else places.push(place);
    }
    const reached = new Set<object>();
    const pending = [...objects];
    for (let object = pending.pop(); object !== undefined; object = pending.pop()) {
      if (reached.has(object)) continue;
      reached.add(object);
      for (const place of placesOf.get(object) ?? []) {
        const from = this.#reachedFrom.at(place);
        if (from >= 0) pending.push(this.node(from).identity);
      }
    }
    // Breadth-first order; backwards, no object comes before what lies below it (but for cycles).
    const nodes = [...this.#nodes].reverse();
    return nodes.filter((node) => reached.delete(node.identity) && node.afterRestore !== undefined);
  }
}
