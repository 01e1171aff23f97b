import { invalidArgument } from '../errors.ts';
import { isThenable, type Steps, wait } from '../steps.ts';
import { type ChildList, PairChildren } from './child-list.ts';
import { NumberColumn } from './number-column.ts';
import { ObjectNumbers } from './object-numbers.ts';
import type { TrackableNode, TrackableValue } from './trackable.ts';
import { asked, checkName, type ObjectTree, type Resolve, refusal, VISITED_AT_ONCE, type WalkOptions } from './tree.ts';
import { TreePaths } from './tree-paths.ts';
import { addSlots } from './tree-slots.ts';

/** Nodes and edges that are visited before the event loop may turn. */
const PIECE = 64;

/** Names known to be good; above so many they are looked at each time. */
const KNOWN_NAMES = 4096;

/** One walk over the objects below a root: breadth-first, piece by piece. */
export class TreeWalk {
  readonly #resolve: Resolve;
  readonly #options: WalkOptions;
  readonly #nodes: TrackableNode[];
  readonly #edgeStart = new NumberColumn();
  readonly #edgeNames: string[] = [];
  readonly #edgeTargets = new NumberColumn();
  readonly #idOf = new ObjectNumbers();
  readonly #paths = new TreePaths();
  readonly #knownNames = new Set<string>();
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
    this.#nodes = [root];
    this.#idOf.set(root.identity, 0);
    this.#edgeStart.push(0);
  }

  *run(): Steps<ObjectTree> {
    const nodes = this.#nodes;
    while (this.#id < nodes.length) {
      yield* this.#turn();
      const preparing = this.#visit();
      if (preparing !== undefined) yield* wait(preparing);
    }
    const slots = yield* this.#slots();
    const edgeStart = this.#edgeStart;
    while (edgeStart.length <= nodes.length) edgeStart.push(this.#edgeNames.length);
    return {
      nodes,
      ...(yield* this.#values()),
      edgeStart: edgeStart.view(),
      edgeNames: this.#edgeNames,
      edgeTargets: this.#edgeTargets.view(),
      idOf: this.#idOf,
      paths: this.#paths,
      ...slots,
    };
  }

  /** A turn of the event loop, where the tree is large and one is due. */
  *#turn(): Steps<void> {
    const { turns } = this.#options;
    if (this.#nodes.length > VISITED_AT_ONCE && turns.due) yield turns.next();
  }

  /** Visits a piece; stops where a node has to be waited for. */
  #visit(): PromiseLike<void> | undefined {
    for (let work = 0; work < PIECE && this.#id < this.#nodes.length; work++) {
      const node = this.#nodes[this.#id]!;
      if (this.#children === undefined) {
        const preparing = this.#prepare(node);
        if (preparing !== undefined) return preparing;
        if (node.list === undefined && node.children === undefined) {
          this.#leave();
          continue;
        }
        this.#children = childrenOf(node, this.#where);
        this.#visited = 0;
      }
      const { length } = this.#children;
      const end = Math.min(length, this.#visited + PIECE - work);
      work += end - this.#visited;
      this.#addChildren(this.#children, end);
      if (end === length) this.#leave();
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

  #leave(): void {
    this.#edgeStart.push(this.#edgeNames.length);
    this.#children = undefined;
    this.#id++;
  }

  #addChildren(children: ChildList, end: number): void {
    try {
      for (; this.#visited < end; this.#visited++) {
        const name: unknown = children.name(this.#visited);
        this.#childName = name;
        this.#checkName(name);
        const child = this.#resolve(children.value(this.#visited), this.#childWhere);
        const id = this.#nodes.length;
        const target = this.#idOf.getOrSet(child.identity, id);
        if (target === id) {
          this.#nodes.push(child);
          this.#paths.addChild(this.#id, name);
        }
        this.#edgeNames.push(name);
        this.#edgeTargets.push(target);
      }
    } catch (cause) {
      throw refusal(cause, this.#where);
    }
  }

  #checkName(name: unknown): asserts name is string {
    if (this.#knownNames.has(name as string)) return;
    checkName(name, this.#where);
    if (this.#knownNames.size < KNOWN_NAMES) this.#knownNames.add(name);
  }

  /** Adds the slot variables of all optimizers. */
  *#slots(): Steps<Pick<ObjectTree, 'slotStart' | 'slotVariables' | 'slotNames' | 'slotIds'>> {
    const nodes = this.#nodes;
    const owners = nodes.length;
    const slots = { slotVariables: [] as number[], slotNames: [] as string[], slotIds: [] as number[] };
    const tree = { nodes, idOf: this.#idOf, paths: this.#paths, ...slots };
    const ends = new NumberColumn(owners + 1);
    ends.push(0);
    for (let id = 0; id < owners; id++) {
      if (id % PIECE === 0) yield* this.#turn();
      if (nodes[id]!.slots !== undefined) addSlots(tree, id, owners, this.#resolve);
      ends.push(slots.slotIds.length);
    }
    // Slots have none themselves.
    while (ends.length <= nodes.length) ends.push(slots.slotIds.length);
    return { slotStart: ends.view(), ...slots };
  }

  *#values(): Steps<Pick<ObjectTree, 'valueStart' | 'values'>> {
    const nodes = this.#nodes;
    const values: TrackableValue[] = [];
    const valueStart = new NumberColumn(nodes.length + 1);
    valueStart.push(0);
    const add = (first: number, end: number): void => {
      for (this.#id = first; this.#id < end; this.#id++) {
        const node = nodes[this.#id]!;
        if (node.value !== undefined) values.push(node.value);
        else if (node.values !== undefined) {
          for (const value of asked(() => node.values!(), this.#where)) values.push(value);
        }
        valueStart.push(values.length);
      }
    };
    for (let first = 0; first < nodes.length; first += PIECE) {
      yield* this.#turn();
      add(first, Math.min(nodes.length, first + PIECE));
    }
    return { valueStart: valueStart.view(), values };
  }
}

/** What an object of the caller's answers is complete before the walk goes on, and names each child once. */
function childrenOf(node: TrackableNode, where: () => string): ChildList {
  if (node.list !== undefined) return asked(() => node.list!(), where);
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
