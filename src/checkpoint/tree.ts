import { describeValue, invalidArgument, isCheckpointError } from '../errors.ts';
import { childPath, slotPath } from './keys.ts';
import type { TrackableNode, TrackableValue } from './trackable.ts';

/** Turns any value of the user's into its node, or throws INVALID_ARGUMENT naming `where()`. */
export type Resolve = (value: unknown, where: () => string) => TrackableNode;

/** A slot variable of an optimizer node, all three by node number. */
export interface SlotEdge {
  readonly variable: number;
  readonly name: string;
  readonly slot: number;
}

/**
 * The objects that are reachable from a root now, numbered as TensorFlow numbers them: breadth-first, children in
 * their own order, each object once under its first (shortest) path; then the slot variables, optimizer by optimizer.
 * Struct of arrays: a tree has as many nodes as the model has tensors.
 */
export interface ObjectTree {
  readonly nodes: readonly TrackableNode[];
  readonly values: readonly (readonly TrackableValue[])[];
  /** Edges of node n are those from `edgeStart[n]` up to `edgeStart[n + 1]`. */
  readonly edgeStart: readonly number[];
  readonly edgeNames: readonly string[];
  readonly edgeTargets: readonly number[];
  /** By optimizer node. */
  readonly slots: ReadonlyMap<number, readonly SlotEdge[]>;
  readonly idOf: ReadonlyMap<object, number>;
  /** Escaped path of each node, the first part of its keys. */
  paths(): readonly string[];
  /** Local names from the root, joined by slashes and not escaped: what name-based checkpoints call a variable. */
  globalNames(): readonly string[];
}

const NO_VALUES: readonly TrackableValue[] = [];

function readable(parent: string, name: string): string {
  return `${parent}[${JSON.stringify(name)}]`;
}

function checkName(name: unknown, where: () => string): void {
  if (typeof name !== 'string' || name === '') {
    throw invalidArgument(`${where()} names a child ${describeValue(name)}; a name must be a non-empty string.`);
  }
  if (name.includes('\0') || !name.isWellFormed()) {
    throw invalidArgument(
      `${where()} names a child ${describeValue(name)}; a name must be well-formed Unicode without NUL.`,
    );
  }
}

/**
 * Walks the tree below `root`. With `prepare`, every node's prepare() is called before its children are asked for; the
 * generator yields the promises that have to be awaited before it goes on, and yields nothing where all is synchronous.
 */
export function* walkSteps(
  root: TrackableNode,
  resolve: Resolve,
  options: { prepare: boolean },
): Generator<Promise<void>, ObjectTree> {
  const nodes: TrackableNode[] = [root];
  const parent: number[] = [-1];
  const parentEdge: string[] = [''];
  const edgeStart: number[] = [0];
  const edgeNames: string[] = [];
  const edgeTargets: number[] = [];
  const idOf = new Map<object, number>([[root.identity, 0]]);
  const where = (id: number) => () => describePath(id, parent, parentEdge);

  for (let id = 0; id < nodes.length; id++) {
    const node = nodes[id]!;
    if (options.prepare && node.prepare !== undefined) {
      const pending = node.prepare();
      if (pending !== undefined) yield pending;
    }
    if (node.children !== undefined) {
      const here = where(id);
      const seen = new Set<string>();
      for (const [name, value] of childrenOf(node, here)) {
        checkName(name, here);
        if (seen.has(name))
          throw invalidArgument(`${here()} names two of its children '${name}'; names must be unique.`);
        seen.add(name);
        const child = resolve(value, () => readable(here(), name));
        let target = idOf.get(child.identity);
        if (target === undefined) {
          target = nodes.length;
          idOf.set(child.identity, target);
          nodes.push(child);
          parent.push(id);
          parentEdge.push(name);
        }
        edgeNames.push(name);
        edgeTargets.push(target);
      }
    }
    edgeStart.push(edgeNames.length);
  }

  const owners = nodes.length;
  const slots = new Map<number, SlotEdge[]>();
  const slotOwner = new Map<number, { optimizer: number; variable: number; name: string }>();
  for (let id = 0; id < owners; id++) {
    const found = collectSlots(nodes[id]!, idOf, owners, resolve, where(id));
    for (const { variable, name, slot } of found) {
      if (idOf.has(slot.identity)) {
        throw invalidArgument(
          `${where(id)()}: the slot '${name}' of ${where(variable)()} is also reached by another path; ` +
            'a slot variable must belong to its optimizer alone.',
        );
      }
      const number = nodes.length;
      idOf.set(slot.identity, number);
      nodes.push(slot);
      parent.push(-1);
      parentEdge.push('');
      edgeStart.push(edgeNames.length);
      slotOwner.set(number, { optimizer: id, variable, name });
      const own = slots.get(id);
      if (own === undefined) slots.set(id, [{ variable, name, slot: number }]);
      else own.push({ variable, name, slot: number });
    }
  }

  let paths: string[] | undefined;
  return {
    nodes,
    values: nodes.map((node, id) => (node.values === undefined ? NO_VALUES : asked(() => node.values!(), where(id)))),
    edgeStart,
    edgeNames,
    edgeTargets,
    slots,
    idOf,
    paths() {
      if (paths === undefined) {
        paths = [''];
        for (let id = 1; id < nodes.length; id++) {
          const slot = slotOwner.get(id);
          paths.push(
            slot === undefined
              ? childPath(paths[parent[id]!]!, parentEdge[id]!)
              : slotPath(paths[slot.variable]!, paths[slot.optimizer]!, slot.name),
          );
        }
      }
      return paths;
    },
    globalNames() {
      const names = [''];
      for (let id = 1; id < nodes.length; id++) {
        const above = parent[id]!;
        names.push(above <= 0 ? parentEdge[id]! : `${names[above]}/${parentEdge[id]}`);
      }
      return names;
    },
  };
}

/** All children at once, so that what an object of the caller's throws isn't mixed up with what the walk finds. */
function childrenOf(node: TrackableNode, where: () => string): Iterable<readonly [string, unknown]> {
  return asked(() => {
    const children = node.children!();
    return Array.isArray(children) ? children : [...children];
  }, where);
}

/** What one of the caller's objects answers; what it throws is told with the object's path. */
export function asked<T>(ask: () => T, where: () => string): T {
  try {
    return ask();
  } catch (cause) {
    if (isCheckpointError(cause)) throw cause;
    throw invalidArgument(
      `${where()} can't be saved: ${cause instanceof Error ? cause.message : describeValue(cause)}`,
      {
        cause,
      },
    );
  }
}

/** {@link walkSteps} where nothing may be asynchronous: assertions, and the search for objects that have appeared. */
export function walkNow(root: TrackableNode, resolve: Resolve): ObjectTree {
  const step = walkSteps(root, resolve, { prepare: false }).next();
  if (!step.done) throw new Error('unreachable: a walk without prepare() never waits');
  return step.value;
}

interface FoundSlot {
  readonly variable: number;
  readonly name: string;
  readonly slot: TrackableNode;
}

/** An optimizer's slots in TensorFlow's order: by slot name as first seen, then by the variable's number. */
function collectSlots(
  node: TrackableNode,
  idOf: ReadonlyMap<object, number>,
  owners: number,
  resolve: Resolve,
  where: () => string,
): FoundSlot[] {
  if (node.slots === undefined) return [];
  const byName = new Map<string, FoundSlot[]>();
  for (const { variable, name, slot } of node.slots()) {
    checkName(name, where);
    const variableNode = resolve(variable, () => `${where()} (the variable of slot '${name}')`);
    const id = idOf.get(variableNode.identity);
    // As in TensorFlow, a slot is saved only with its variable: one that isn't in the tree has no path to name it by.
    if (id === undefined || id >= owners) continue;
    const slotNode = resolve(slot, () => `${where()} (the slot '${name}')`);
    if (slotNode.children !== undefined) {
      throw invalidArgument(`${where()}: the slot '${name}' has children of its own; a slot variable must have none.`);
    }
    const list = byName.get(name);
    if (list === undefined) byName.set(name, [{ variable: id, name, slot: slotNode }]);
    else list.push({ variable: id, name, slot: slotNode });
  }
  const found: FoundSlot[] = [];
  for (const list of byName.values()) {
    list.sort((a, b) => a.variable - b.variable);
    list.forEach((slot, i) => {
      if (i > 0 && list[i - 1]!.variable === slot.variable) {
        throw invalidArgument(`${where()} has two slots '${slot.name}' for one variable.`);
      }
      found.push(slot);
    });
  }
  return found;
}

function describePath(id: number, parent: readonly number[], edge: readonly string[]): string {
  const names: string[] = [];
  for (let at = id; at > 0; at = parent[at]!) names.push(`[${JSON.stringify(edge[at])}]`);
  return `checkpoint${names.reverse().join('')}`;
}
