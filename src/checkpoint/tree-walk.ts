import { NumberColumn } from '../bundle/number-column.ts';
import { ObjectColumn } from '../bundle/object-column.ts';
import { invalidArgument } from '../errors.ts';
import { int32Column } from '../native/columns.ts';
import { isThenable, type Steps, wait } from '../steps.ts';
import { type ChildList, NO_CHILDREN, PairChildren } from './child-list.ts';
import { ObjectNumbers } from './object-numbers.ts';
import { Repeated } from './repeated.ts';
import type { TrackableNode, TrackableValue } from './trackable.ts';
import { asked, checkName, type ObjectTree, type Resolve, refusal, VISITED_AT_ONCE, type WalkOptions } from './tree.ts';
import { TreePaths } from './tree-paths.ts';
import { addSlots } from './tree-slots.ts';

/** Nodes and edges that are visited before the event loop may turn. */
const PIECE = 64;

/** One walk over the objects below a root: breadth-first, piece by piece. */
export class TreeWalk {
  readonly #resolve: Resolve;
  readonly #options: WalkOptions;
  readonly #nodes = new ObjectColumn<TrackableNode>();
  readonly #edgeNames: Repeated<string>;
  readonly #edgeTargets = NumberColumn.int32();
  readonly #slotVariables = NumberColumn.int32();
  readonly #slotNames: string[] = [];
  readonly #slotIds = NumberColumn.int32();
  readonly #idOf = new ObjectNumbers();
  readonly #paths: TreePaths;
  /** The nodes that are more than a value, and where the edges of each begin. Most nodes are tensors, and need no visit. */
  readonly #inner = NumberColumn.int32();
  readonly #innerEdges = NumberColumn.int32();
  /** What the lists found so far hold, as long as that isn't much. */
  #listed = 0;
  #kept: { readonly id: number; readonly list: ChildList } | undefined;
  /** The node being visited, the last one that was prepared, its children, and how many of them were visited. */
  #id = 0;
  #prepared = -1;
  #children: ChildList | undefined;
  #visited = 0;
  #childName: unknown;
  readonly #where = () => this.#paths.describe(this.#id);
  readonly #childWhere = () => `${this.#where()}[${JSON.stringify(this.#childName)}]`;

  constructor(root: TrackableNode, resolve: Resolve, options: WalkOptions) {
    this.#resolve = resolve;
    this.#options = options;
    this.#edgeNames = new Repeated(options.lastNames);
    this.#paths = new TreePaths({
      edgeNames: this.#edgeNames,
      slotNames: this.#slotNames,
      slotVariables: this.#slotVariables,
    });
    this.#idOf.set(root.identity, 0);
    this.#add(root);
  }

  *run(): Steps<ObjectTree> {
    const nodes = this.#nodes;
    while (this.#innerEdges.length < this.#inner.length) {
      yield* this.#turn();
      const preparing = this.#visit();
      if (preparing !== undefined) yield* wait(preparing);
    }
    const slots = yield* this.#slots();
    const values = yield* this.#values();
    yield* this.#turn();
    return {
      nodes,
      ...values,
      edgeStart: this.#edgeStart(),
      edgeNames: this.#edgeNames.list(),
      edgeTargets: this.#edgeTargets.view(),
      idOf: this.#idOf,
      paths: this.#paths,
      ...slots,
    };
  }

  /** A turn of the event loop, where the tree is large and one is due. */
  *#turn(): Steps<void> {
    if (this.#isLarge && this.#options.turns.due) yield this.#options.turns.next();
  }

  /**
   * Counts what the node last added holds: that a tree is large is known before so many of its objects were visited, in
   * code that is cold at a first save. To list a large object takes long, so the list that shows it is kept for its visit.
   */
  #count(list: ChildList): void {
    this.#listed += list.length;
    if (this.#isLarge) this.#kept = { id: this.#nodes.length - 1, list };
  }

  get #isLarge(): boolean {
    const { visitedAtOnce = VISITED_AT_ONCE } = this.#options;
    return this.#nodes.length > visitedAtOnce || this.#listed > visitedAtOnce;
  }

  #add(node: TrackableNode): void {
    const isInner =
      node.list !== undefined || node.children !== undefined || node.prepare !== undefined || node.slots !== undefined;
    if (isInner) this.#inner.push(this.#nodes.length);
    this.#nodes.push(node);
    if (node.list !== undefined && !this.#isLarge) this.#count(node.list());
  }

  /** Visits a piece; stops where a node has to be waited for. */
  #visit(): PromiseLike<void> | undefined {
    for (let work = 0; work < PIECE && this.#innerEdges.length < this.#inner.length; work++) {
      if (this.#children === undefined) {
        this.#id = this.#inner.at(this.#innerEdges.length);
        const node = this.#nodes.at(this.#id);
        const preparing = this.#prepare(node);
        if (preparing !== undefined) return preparing;
        this.#children = this.#kept?.id === this.#id ? this.#kept.list : childrenOf(node, this.#where);
        this.#visited = 0;
      }
      const { length } = this.#children;
      const first = this.#visited;
      const end = Math.min(length, first + PIECE - work);
      work += end - first;
      const edges = this.#edgeNames.length - first;
      this.#addChildren(this.#children, end);
      if (end < length) continue;
      this.#innerEdges.push(edges);
      this.#children = undefined;
    }
    return undefined;
  }

  /** Has the node being visited prepare itself, once. */
  #prepare(node: TrackableNode): PromiseLike<void> | undefined {
    if (!this.#options.prepare || node.prepare === undefined || this.#prepared === this.#id) return undefined;
    this.#prepared = this.#id;
    const preparing = node.prepare();
    return isThenable(preparing) ? (preparing as PromiseLike<void>) : undefined;
  }

  #addChildren(children: ChildList, end: number): void {
    const nodes = this.#nodes;
    try {
      for (; this.#visited < end; this.#visited++) {
        const name: unknown = children.name(this.#visited);
        this.#childName = name;
        checkName(name, this.#where);
        const child = this.#resolve(children.value(this.#visited), this.#childWhere);
        const id = nodes.length;
        const target = this.#idOf.getOrSet(child.identity, id);
        if (target === id) {
          this.#add(child);
          this.#paths.addChild(this.#id, this.#edgeNames.length);
        }
        this.#edgeNames.push(name);
        this.#edgeTargets.push(target);
      }
    } catch (cause) {
      throw refusal(cause, this.#where);
    }
  }

  /** Nodes between two inner ones have no edges: theirs begin, and end, where those of the next inner one begin. */
  #edgeStart(): Int32Array {
    const starts = int32Column(this.#nodes.length + 1);
    let next = 0;
    for (let at = 0; at < this.#inner.length; at++) {
      const id = this.#inner.at(at);
      starts.fill(this.#innerEdges.at(at), next, id + 1);
      next = id + 1;
    }
    return starts.fill(this.#edgeNames.length, next);
  }

  /** Adds the slot variables of all optimizers. */
  *#slots(): Steps<Pick<ObjectTree, 'slotStart' | 'slotVariables' | 'slotNames' | 'slotIds'>> {
    const nodes = this.#nodes;
    const owners = nodes.length;
    const slots = { slotVariables: this.#slotVariables, slotNames: this.#slotNames, slotIds: this.#slotIds };
    const tree = { nodes, idOf: this.#idOf, paths: this.#paths, ...slots };
    const ends: { readonly id: number; readonly end: number }[] = [];
    for (let at = 0; at < this.#inner.length; at++) {
      if (at % PIECE === 0) yield* this.#turn();
      const id = this.#inner.at(at);
      if (nodes.at(id).slots === undefined) continue;
      addSlots(tree, id, owners, this.#resolve);
      ends.push({ id, end: slots.slotIds.length });
    }
    const slotStart = int32Column(nodes.length + 1);
    ends.forEach(({ id, end }, i) => {
      slotStart.fill(end, id + 1, (ends[i + 1]?.id ?? nodes.length) + 1);
    });
    return {
      slotStart,
      slotVariables: this.#slotVariables.view(),
      slotNames: this.#slotNames,
      slotIds: this.#slotIds.view(),
    };
  }

  *#values(): Steps<Pick<ObjectTree, 'valueStart' | 'values'>> {
    const nodes = this.#nodes;
    const values = new ObjectColumn<TrackableValue>();
    const valueStart = int32Column(nodes.length + 1);
    const add = (first: number, end: number): void => {
      for (let id = first; id < end; id++) {
        const node = nodes.at(id);
        const { value } = node;
        if (value !== undefined) values.push(value);
        else if (node.values !== undefined) {
          this.#id = id;
          for (const own of asked(() => node.values!(), this.#where)) values.push(own);
        }
        valueStart[id + 1] = values.length;
      }
    };
    for (let first = 0; first < nodes.length; first += PIECE) {
      yield* this.#turn();
      add(first, Math.min(nodes.length, first + PIECE));
    }
    return { valueStart, values };
  }
}

/** What an object of the caller's answers is complete before the walk goes on, and names each child once. */
function childrenOf(node: TrackableNode, where: () => string): ChildList {
  if (node.list !== undefined) return asked(() => node.list!(), where);
  if (node.children === undefined) return NO_CHILDREN;
  const children = asked(() => [...node.children!()], where);
  const seen = new Set<string>();
  for (const [name] of children) {
    if (seen.has(name)) {
      throw invalidArgument(`${where()} names two of its children '${name}'; names must be unique.`);
    }
    seen.add(name);
  }
  return new PairChildren(children);
}
