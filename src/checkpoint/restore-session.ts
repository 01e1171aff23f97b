import type { BundleEntryInfo } from '../bundle/index.ts';
import { attributeName } from './keys.ts';
import type { GraphNode, ObjectGraph } from './object-graph.ts';
import { type Steps, wait } from './steps.ts';
import type { StoredNode, TrackableNode, TrackableValue } from './trackable.ts';
import type { Resolve } from './tree.ts';

/** A stored value that was found for a value of an object, not yet read. */
export interface Match {
  readonly key: string;
  /** Node of the stored graph. */
  readonly storedId: number;
  readonly node: TrackableNode;
  readonly value: TrackableValue;
}

/** Counts restores of one Checkpoint, so that an older one, applied late, never overwrites what a newer one brought. */
export class RestoreOrder {
  #last = 0;
  readonly #of = new WeakMap<object, number>();

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

/**
 * One restore: which stored nodes belong to which objects so far, and what is still waiting for an object. It lives as
 * long as something may still be matched. Matching follows TensorFlow: breadth-first over the stored graph by local
 * names; a stored node belongs to the first object that reaches it, an object takes its value from the first stored
 * node that reaches it.
 */
export class RestoreSession {
  readonly prefix: string;
  readonly graph: ObjectGraph;
  readonly entries: ReadonlyMap<string, BundleEntryInfo>;
  readonly order: number;
  readonly #resolve: Resolve;
  readonly #restores: RestoreOrder;
  /** Stored node → object. */
  readonly #bound = new Map<number, TrackableNode>();
  /** Stored nodes with something that no object has taken yet. */
  readonly #incomplete = new Set<number>();
  /** Keys that were read, or that a newer restore has superseded. */
  readonly #consumed = new Set<string>();
  /** Object → how many of its values were restored. */
  readonly #restored = new Map<object, number>();
  /** Optimizers (stored) whose slots belong to a variable (stored). */
  readonly #slotOwners: readonly number[];
  /** Edges that were followed, child → parents: an object is told when anything below it was assigned. */
  readonly #parents = new Map<object, Set<TrackableNode>>();

  constructor(
    prefix: string,
    graph: ObjectGraph,
    entries: ReadonlyMap<string, BundleEntryInfo>,
    resolve: Resolve,
    restores: RestoreOrder,
  ) {
    this.prefix = prefix;
    this.graph = graph;
    this.entries = entries;
    this.#resolve = resolve;
    this.#restores = restores;
    this.order = restores.next();
    this.#slotOwners = graph.nodes.flatMap((node, id) => (node.slots.length > 0 ? [id] : []));
  }

  /** Whether every stored value has found its object. */
  get complete(): boolean {
    return this.#incomplete.size === 0;
  }

  get matchedNodes(): number {
    return this.#bound.size;
  }

  /** The first matching, from the root. */
  match(root: TrackableNode): Steps<Match[]> {
    this.#bound.set(0, root);
    return this.#visit([0]);
  }

  /** Matches what has appeared since. */
  rematch(): Steps<Match[]> {
    return this.#visit([...this.#incomplete]);
  }

  /** Whether {@link rematch} would find anything, as far as that shows without asking objects to create their parts. */
  hasAppeared(): boolean {
    for (const id of this.#incomplete) {
      const node = this.#bound.get(id)!;
      const stored = this.graph.nodes[id]!;
      const waiting = new Set<string>();
      for (const child of stored.children) if (!this.#bound.has(child.nodeId)) waiting.add(child.localName);
      if (waiting.size > 0 && node.children !== undefined) {
        for (const [name] of node.children()) if (waiting.has(name)) return true;
      }
      for (const value of node.values?.() ?? []) {
        const attribute = stored.attributes.find(({ name }) => name === attributeName(value.attribute));
        if (attribute !== undefined && !this.#consumed.has(attribute.checkpointKey)) return true;
      }
      if (stored.slots.length > 0 && [...this.#slotsOf(id)].length > 0) return true;
    }
    return false;
  }

  /** Marks a match as read. */
  assigned(match: Match): void {
    this.#consumed.add(match.key);
    const object = match.node.identity;
    this.#restored.set(object, (this.#restored.get(object) ?? 0) + 1);
    this.#restores.restored(object, this.order);
    this.#settle(match.storedId);
  }

  /** The objects that have one of these values at or below them, children before parents. */
  above(matches: readonly Match[]): TrackableNode[] {
    const reached = new Map<object, TrackableNode>();
    const pending = matches.map(({ node }) => node);
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      if (reached.has(node.identity)) continue;
      reached.set(node.identity, node);
      pending.push(...(this.#parents.get(node.identity) ?? []));
    }
    // #bound is in breadth-first order; backwards, no object comes before what lies below it (but for cycles).
    return [...this.#bound.values()].reverse().filter((node) => reached.delete(node.identity));
  }

  /** Keys that no object has taken, in the graph's order. */
  unmatchedKeys(): string[] {
    const keys: string[] = [];
    for (const node of this.graph.nodes) {
      for (const { checkpointKey } of node.attributes) if (!this.#consumed.has(checkpointKey)) keys.push(checkpointKey);
    }
    return keys;
  }

  /** Whether all `count` values of an object came from this checkpoint, or from a newer one. */
  hasRestored(object: object, count: number): boolean {
    return (this.#restored.get(object) ?? 0) >= count || this.#restores.restoredLater(object, this.order);
  }

  *#visit(starts: number[]): Steps<Match[]> {
    const matches: Match[] = [];
    const claimed = new Set<object>();
    const queue = starts;
    for (let at = 0; at < queue.length; at++) {
      const id = queue[at]!;
      const node = this.#bound.get(id)!;
      if (node.beforeRestore !== undefined) yield* wait(node.beforeRestore(this.#stored(id)));
      this.#matchValues(id, node, claimed, matches);
      for (const childId of this.#matchChildren(id, node)) queue.push(childId);
      this.#settle(id);
    }
    // Slots come last: they need both the optimizer and the variable, whichever was reached later.
    for (const id of this.#slotOwners) {
      if (!this.#bound.has(id)) continue;
      for (const { slotId, node } of [...this.#slotsOf(id)]) {
        this.#bound.set(slotId, node);
        this.#addParent(node, this.#bound.get(id)!);
        this.#matchValues(slotId, node, claimed, matches);
        this.#settle(slotId);
      }
      this.#settle(id);
    }
    return matches;
  }

  #matchValues(id: number, node: TrackableNode, claimed: Set<object>, matches: Match[]): void {
    const stored = this.graph.nodes[id]!;
    if (stored.attributes.length === 0) return;
    const identity = node.identity;
    if (claimed.has(identity) || this.#restores.restoredLater(identity, this.order)) {
      // Restored by another stored node, or by a newer restore: this value has its object, and nothing is left to do.
      for (const { checkpointKey } of stored.attributes) this.#consumed.add(checkpointKey);
      return;
    }
    const values = node.values?.() ?? [];
    for (const value of values) {
      const name = attributeName(value.attribute);
      const attribute = stored.attributes.find((candidate) => candidate.name === name);
      if (attribute === undefined || this.#consumed.has(attribute.checkpointKey)) continue;
      matches.push({ key: attribute.checkpointKey, storedId: id, node, value });
    }
    if (values.length > 0) claimed.add(identity);
  }

  *#matchChildren(id: number, node: TrackableNode): Generator<number> {
    const waiting = this.graph.nodes[id]!.children.filter(({ nodeId }) => !this.#bound.has(nodeId));
    if (waiting.length === 0 || node.children === undefined) return;
    const existing = new Map<string, unknown>(node.children());
    for (const { nodeId, localName } of waiting) {
      if (this.#bound.has(nodeId) || !existing.has(localName)) continue;
      const child = this.#resolve(existing.get(localName), () => `${node.description}[${JSON.stringify(localName)}]`);
      this.#bound.set(nodeId, child);
      this.#addParent(child, node);
      yield nodeId;
    }
  }

  /** Slots of the optimizer `id` that exist now and are not bound yet. */
  *#slotsOf(id: number): Generator<{ slotId: number; node: TrackableNode }> {
    const optimizer = this.#bound.get(id)!;
    const waiting = this.graph.nodes[id]!.slots.filter(({ slot }) => !this.#bound.has(slot));
    if (waiting.length === 0 || optimizer.slots === undefined) return;
    const existing = new Map<object, Map<string, unknown>>();
    for (const { variable, name, slot } of optimizer.slots()) {
      const { identity } = this.#resolve(variable, () => `${optimizer.description} (slot '${name}')`);
      const own = existing.get(identity) ?? new Map<string, unknown>();
      existing.set(identity, own.set(name, slot));
    }
    for (const { variable, name, slot } of waiting) {
      const variableNode = this.#bound.get(variable);
      const found = variableNode && existing.get(variableNode.identity)?.get(name);
      if (found === undefined) continue;
      yield { slotId: slot, node: this.#resolve(found, () => `${optimizer.description} (slot '${name}')`) };
    }
  }

  #addParent(child: TrackableNode, parent: TrackableNode): void {
    const parents = this.#parents.get(child.identity);
    if (parents === undefined) this.#parents.set(child.identity, new Set([parent]));
    else parents.add(parent);
  }

  /** Keeps the list of bound nodes that something is still waiting below. */
  #settle(id: number): void {
    const node: GraphNode = this.graph.nodes[id]!;
    const waits =
      node.attributes.some(({ checkpointKey }) => !this.#consumed.has(checkpointKey)) ||
      node.children.some(({ nodeId }) => !this.#bound.has(nodeId) && this.#holdsValues(nodeId)) ||
      node.slots.some(({ slot }) => !this.#bound.has(slot));
    if (waits) this.#incomplete.add(id);
    else this.#incomplete.delete(id);
  }

  #holdsValues(id: number): boolean {
    const node = this.graph.nodes[id]!;
    return (
      node.hasCheckpointValues ??
      (node.children.length > 0 ||
        node.attributes.length > 0 ||
        node.slots.length > 0 ||
        node.registeredSaver !== undefined)
    );
  }

  #stored(id: number): StoredNode {
    const node = this.graph.nodes[id]!;
    let edges: Map<string, number> | undefined;
    return {
      childNames: node.children.map(({ localName }) => localName),
      child: (name) => {
        edges ??= new Map(node.children.map(({ localName, nodeId }) => [localName, nodeId]));
        const child = edges.get(name);
        return child === undefined ? undefined : this.#stored(child);
      },
      value: (attribute) => {
        const name = attributeName(attribute);
        const key = node.attributes.find((candidate) => candidate.name === name)?.checkpointKey;
        const entry = key === undefined ? undefined : this.entries.get(key);
        return entry && { key: key!, dtype: entry.dtype, shape: entry.shape };
      },
    };
  }
}
