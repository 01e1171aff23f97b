import { NumberColumn } from '../bundle/number-column.ts';
import { ObjectColumn } from '../bundle/object-column.ts';
import type { ObjectGraph } from './object-graph.ts';
import type { TrackableNode, TrackableValue } from './trackable.ts';

/** Stored values that were found for values of objects, not yet read. Struct of arrays: there may be a million. */
export class Matches {
  readonly #graph: ObjectGraph;
  readonly #storedIds: NumberColumn<Int32Array>;
  readonly #rows: NumberColumn<Int32Array>;
  readonly #nodes = new ObjectColumn<TrackableNode>();
  readonly #values = new ObjectColumn<TrackableValue>();

  /** @param graph where they were found. Its `entryRows` are those of the index that they will be read by. */
  constructor(graph: ObjectGraph) {
    this.#graph = graph;
    this.#storedIds = NumberColumn.int32(graph.attributeKeys.length);
    this.#rows = NumberColumn.int32(graph.attributeKeys.length);
  }

  get length(): number {
    return this.#rows.length;
  }

  push(storedId: number, row: number, node: TrackableNode, value: TrackableValue): void {
    this.#storedIds.push(storedId);
    this.#rows.push(row);
    this.#nodes.push(node);
    this.#values.push(value);
  }

  /** Node of the stored graph, whose attribute is {@link row}. */
  storedId(i: number): number {
    return this.#storedIds.at(i);
  }

  row(i: number): number {
    return this.#rows.at(i);
  }

  /** The key's row in the index, −1 if it isn't there; undefined where that was not looked up. */
  entryRow(i: number): number | undefined {
    return this.#graph.entryRows?.[this.#rows.at(i)];
  }

  node(i: number): TrackableNode {
    return this.#nodes.at(i);
  }

  value(i: number): TrackableValue {
    return this.#values.at(i);
  }

  key(i: number): string {
    return this.#graph.attributeKeys.at(this.#rows.at(i));
  }

  /** One after the other: a list of a million would take 100 ms, mostly for nobody to look at. */
  *identities(): Iterable<object> {
    for (const { identity } of this.#nodes) yield identity;
  }

  /** Once nobody asks any more. */
  free(): void {
    this.#storedIds.free();
    this.#rows.free();
  }
}
