import type { BundleEntryInfo } from '../bundle/index.ts';
import { uint8Column } from '../native/columns.ts';
import { type Steps, type Turns, wait } from '../steps.ts';
import { BoundNodes } from './bound-nodes.ts';
import { type ChildList, childList, NO_CHILDREN } from './child-list.ts';
import { attributeName } from './keys.ts';
import { Matches } from './matches.ts';
import { attributeRow, Holds, type ObjectGraph } from './object-graph.ts';
import { ObjectNumbers } from './object-numbers.ts';
import type { RestoreOrder } from './restore-order.ts';
import { storedNode } from './stored-node.ts';
import { type TrackableNode, valuesOf } from './trackable.ts';
import type { Resolve } from './tree.ts';

/** What a restore reads from. */
export interface Stored {
  readonly prefix: string;
  readonly graph: ObjectGraph;
  readonly entries: ReadonlyMap<string, BundleEntryInfo>;
}

/** Nodes and edges that are matched before the event loop may turn. */
const PIECE = 32;

/**
 * One restore: which stored nodes belong to which objects so far, and what is still waiting for an object. It lives as
 * long as something may still be matched. Matching follows TensorFlow: breadth-first over the stored graph by local
 * names; a stored node belongs to the first object that reaches it, an object takes its value from the first stored
 * node that reaches it.
 */
export class RestoreSession {
  readonly prefix: string;
  readonly #stored: Stored;
  readonly #graph: ObjectGraph;
  readonly #order: number;
  readonly #resolve: Resolve;
  readonly #restores: RestoreOrder;
  readonly #bound: BoundNodes;
  /** By stored node: 1 where something is left that no object has taken yet. */
  readonly #incomplete: Uint8Array;
  #incompleteCount = 0;
  /** By attribute: 1 where it was read, or a newer restore has superseded it. */
  readonly #consumed: Uint8Array;
  /** How many values of an object were restored. */
  readonly #restored = new ObjectNumbers();

  constructor(stored: Stored, resolve: Resolve, restores: RestoreOrder) {
    const { prefix, graph } = stored;
    this.prefix = prefix;
    this.#stored = stored;
    this.#graph = graph;
    this.#resolve = resolve;
    this.#restores = restores;
    this.#order = restores.next();
    this.#bound = new BoundNodes(graph.nodeCount);
    this.#incomplete = uint8Column(graph.nodeCount);
    this.#consumed = uint8Column(graph.attributeKeys.length);
  }

  /** Whether every stored value has found its object. */
  get complete(): boolean {
    return this.#incompleteCount === 0;
  }

  get matchedNodes(): number {
    return this.#bound.length;
  }

  /** The first matching, from the root. */
  match(root: TrackableNode, turns: Turns): Steps<Matches> {
    this.#bound.bind(0, root, -1);
    return this.#visit([], 0, new Matches(this.#graph), turns);
  }

  /** Matches what has appeared since. */
  rematch(turns: Turns): Steps<Matches> {
    // The index may be another by now.
    const matches = new Matches({ ...this.#graph, entryRows: undefined });
    return this.#visit([...this.#waiting()], this.#bound.length, matches, turns);
  }

  /** Whether {@link rematch} would find anything, as far as that shows without asking objects to create their parts. */
  hasAppeared(): boolean {
    const { childStart, childIds, childNames, slotStart } = this.#graph;
    for (const id of this.#waiting()) {
      const node = this.#bound.node(id);
      let children: ChildList | undefined;
      for (let row = childStart[id]!; row < childStart[id + 1]!; row++) {
        if (this.#bound.has(childIds[row]!)) continue;
        children ??= childList(node);
        if (children === undefined) break;
        if (children.find(childNames.at(row)) !== undefined) return true;
      }
      for (const value of valuesOf(node)) {
        const row = attributeRow(this.#graph, id, attributeName(value.attribute));
        if (row >= 0 && this.#consumed[row] === 0) return true;
      }
      if (slotStart[id] !== slotStart[id + 1] && this.#slotsOf(id).length > 0) return true;
    }
    return false;
  }

  /** Marks match `i` as read. */
  assigned(matches: Matches, i: number): void {
    this.#consumed[matches.row(i)] = 1;
    const object = matches.node(i).identity;
    this.#restored.set(object, (this.#restored.get(object) ?? 0) + 1);
    this.#restores.restored(object, this.#order);
    this.#settle(matches.storedId(i));
  }

  /** The objects that have one of these values at or below them and want to hear of it, children before parents. */
  above(matches: Matches): TrackableNode[] {
    return this.#bound.listenersAbove(matches.identities());
  }

  /** Keys that no object has taken, in the graph's order. */
  unmatchedKeys(): string[] {
    const keys: string[] = [];
    this.#consumed.forEach((consumed, row) => {
      if (consumed === 0) keys.push(this.#graph.attributeKeys.at(row));
    });
    return keys;
  }

  /** Whether all `count` values of an object came from this checkpoint, or from a newer one. */
  hasRestored(object: object, count: number): boolean {
    return (this.#restored.get(object) ?? 0) >= count || this.#restores.restoredLater(object, this.#order);
  }

  /** Visits the nodes of `again`, then those that were and will be bound from the place `first` on. */
  *#visit(again: readonly number[], first: number, matches: Matches, turns: Turns): Steps<Matches> {
    const claimed = new ObjectNumbers();
    const { childStart, childIds } = this.#graph;
    let work = 0;
    for (let at = 0; at < again.length + this.#bound.length - first; at++) {
      const id = at < again.length ? again[at]! : this.#bound.id(first + at - again.length);
      const node = this.#bound.node(id);
      if (node.beforeRestore !== undefined) yield* wait(node.beforeRestore(storedNode(this.#stored, id)));
      this.#matchValues(id, node, claimed, matches);
      let children: ChildList | undefined;
      for (let row = childStart[id]!; row < childStart[id + 1]!; row++) {
        if (!this.#bound.has(childIds[row]!)) {
          children ??= childList(node) ?? NO_CHILDREN;
          this.#matchChild(id, node, children, row);
        }
        if (++work % PIECE === 0 && turns.due) yield turns.next();
      }
      this.#settle(id);
      if (++work % PIECE === 0 && turns.due) yield turns.next();
    }
    // Slots come last: they need both the optimizer and the variable, whichever was reached later.
    const { slotStart, nodeCount } = this.#graph;
    for (let id = 0; id < nodeCount; id++) {
      if (++work % PIECE === 0 && turns.due) yield turns.next();
      if (slotStart[id] === slotStart[id + 1] || !this.#bound.has(id)) continue;
      for (const { slotId, node } of this.#slotsOf(id)) {
        this.#bound.bind(slotId, node, id);
        this.#matchValues(slotId, node, claimed, matches);
        this.#settle(slotId);
      }
      this.#settle(id);
    }
    return matches;
  }

  #matchValues(id: number, node: TrackableNode, claimed: ObjectNumbers, matches: Matches): void {
    const { attributeStart } = this.#graph;
    const first = attributeStart[id]!;
    const end = attributeStart[id + 1]!;
    if (first === end) return;
    const { identity } = node;
    if (claimed.has(identity) || this.#restores.restoredLater(identity, this.#order)) {
      // Restored by another stored node, or by a newer restore: this value has its object, and nothing is left to do.
      this.#consumed.fill(1, first, end);
      return;
    }
    const values = valuesOf(node);
    for (const value of values) {
      const row = attributeRow(this.#graph, id, attributeName(value.attribute));
      if (row < 0 || this.#consumed[row] === 1) continue;
      matches.push(id, row, node, value);
    }
    if (values.length > 0) claimed.set(identity, 1);
  }

  /** Binds the child that edge `row` leads to, where there is one now. */
  #matchChild(id: number, node: TrackableNode, children: ChildList, row: number): void {
    const { childIds, childNames } = this.#graph;
    const name = childNames.at(row);
    const child = children.find(name);
    if (child === undefined) return;
    const where = () => `${node.description}[${JSON.stringify(name)}]`;
    this.#bound.bind(childIds[row]!, this.#resolve(child.value, where), id);
  }

  /** Slots of the optimizer `id` that exist now and are not bound yet. */
  #slotsOf(id: number): { slotId: number; node: TrackableNode }[] {
    const { slotStart, slotVariables, slotNames, slotIds } = this.#graph;
    const optimizer = this.#bound.node(id);
    const found: { slotId: number; node: TrackableNode }[] = [];
    let existing: Map<object, Map<string, unknown>> | undefined;
    for (let row = slotStart[id]!; row < slotStart[id + 1]!; row++) {
      const slotId = slotIds[row]!;
      if (this.#bound.has(slotId)) continue;
      if (optimizer.slots === undefined) break;
      existing ??= this.#existingSlots(optimizer);
      const name = slotNames.at(row);
      const variable = slotVariables[row]!;
      const slot = this.#bound.has(variable) ? existing.get(this.#bound.node(variable).identity)?.get(name) : undefined;
      if (slot === undefined) continue;
      found.push({ slotId, node: this.#resolve(slot, () => `${optimizer.description} (slot '${name}')`) });
    }
    return found;
  }

  /** By variable and slot name. */
  #existingSlots(optimizer: TrackableNode): Map<object, Map<string, unknown>> {
    const existing = new Map<object, Map<string, unknown>>();
    for (const { variable, name, slot } of optimizer.slots!()) {
      const { identity } = this.#resolve(variable, () => `${optimizer.description} (slot '${name}')`);
      const own = existing.get(identity) ?? new Map<string, unknown>();
      existing.set(identity, own.set(name, slot));
    }
    return existing;
  }

  *#waiting(): Iterable<number> {
    if (this.complete) return;
    for (let place = 0; place < this.#bound.length; place++) {
      const id = this.#bound.id(place);
      if (this.#incomplete[id] === 1) yield id;
    }
  }

  /** Keeps the list of bound nodes that something is still waiting below. */
  #settle(id: number): void {
    const waits = this.#isWaiting(id) ? 1 : 0;
    this.#incompleteCount += waits - this.#incomplete[id]!;
    this.#incomplete[id] = waits;
  }

  #isWaiting(id: number): boolean {
    const { attributeStart, childStart, childIds, slotStart, slotIds } = this.#graph;
    for (let row = attributeStart[id]!; row < attributeStart[id + 1]!; row++) {
      if (this.#consumed[row] === 0) return true;
    }
    for (let row = childStart[id]!; row < childStart[id + 1]!; row++) {
      const child = childIds[row]!;
      if (!this.#bound.has(child) && this.#holdsValues(child)) return true;
    }
    for (let row = slotStart[id]!; row < slotStart[id + 1]!; row++) {
      if (!this.#bound.has(slotIds[row]!)) return true;
    }
    return false;
  }

  #holdsValues(id: number): boolean {
    const { holds, childStart, attributeStart, slotStart, savers } = this.#graph;
    if (holds[id] !== Holds.unknown) return holds[id] === Holds.values;
    return [childStart, attributeStart, slotStart].some((start) => start[id] !== start[id + 1]) || savers.has(id);
  }
}
