import { describeValue, invalidArgument, isCheckpointError } from '../errors.ts';
import { ONE_TURN, resultOf, type Steps, type Turns, wait } from '../steps.ts';
import { ObjectNumbers } from './object-numbers.ts';
import type { TrackableNode, TrackableValue } from './trackable.ts';
import { TreePaths } from './tree-paths.ts';
import { addSlots } from './tree-slots.ts';

/**
 * Turns any value of the user's into its node, or throws INVALID_ARGUMENT naming `where()`, which may be called only
 * until it returns.
 */
export type Resolve = (value: unknown, where: () => string) => TrackableNode;

/**
 * The objects that are reachable from a root now, numbered as TensorFlow numbers them: breadth-first, children in
 * their own order, each object once under its first (shortest) path; then the slot variables, optimizer by optimizer.
 * Struct of arrays: a tree has as many nodes as the model has tensors.
 */
export interface ObjectTree {
  readonly nodes: readonly TrackableNode[];
  /** Values of node n are those from `valueStart[n]` up to `valueStart[n + 1]`; edges and slots likewise. */
  readonly valueStart: readonly number[];
  readonly values: readonly TrackableValue[];
  readonly edgeStart: readonly number[];
  readonly edgeNames: readonly string[];
  readonly edgeTargets: readonly number[];
  /** The slot variables of an optimizer, all by node number. */
  readonly slotStart: readonly number[];
  readonly slotVariables: readonly number[];
  readonly slotNames: readonly string[];
  readonly slotIds: readonly number[];
  readonly idOf: ObjectNumbers;
  /** What nodes are called. */
  readonly paths: TreePaths;
}

export interface WalkOptions {
  /** Call every node's prepare() before its children are asked for, and wait for it. */
  readonly prepare: boolean;
  readonly turns: Turns;
}

/** Nodes that are visited before the event loop may turn. */
const PIECE = 256;

/**
 * So many objects are visited, and their values captured, in one turn of the event loop: they are saved as they are at
 * one moment. Those of larger trees over several turns.
 */
export const VISITED_AT_ONCE = 2 ** 15;

/** Walks the tree below `root`. It waits only for prepare(), and for turns of the event loop where a tree is large. */
export function* walkSteps(root: TrackableNode, resolve: Resolve, { prepare, turns }: WalkOptions): Steps<ObjectTree> {
  const nodes: TrackableNode[] = [root];
  const edgeStart: number[] = [0];
  const edgeNames: string[] = [];
  const edgeTargets: number[] = [];
  const slotStart: number[] = [0];
  const slotVariables: number[] = [];
  const slotNames: string[] = [];
  const slotIds: number[] = [];
  const valueStart: number[] = [0];
  const values: TrackableValue[] = [];
  const idOf = new ObjectNumbers();
  const paths = new TreePaths();
  idOf.set(root.identity, 0);

  let id = 0;
  let childName: unknown;
  const where = () => paths.describe(id);
  const childWhere = () => `${where()}[${JSON.stringify(childName)}]`;
  const add = (name: unknown, value: unknown): void => {
    childName = name;
    checkName(name, where);
    const child = resolve(value, childWhere);
    let target = idOf.get(child.identity);
    if (target === undefined) {
      target = nodes.push(child) - 1;
      idOf.set(child.identity, target);
      paths.addChild(id, name);
    }
    edgeNames.push(name);
    edgeTargets.push(target);
  };
  const isDue = (id: number) => id % PIECE === 0 && nodes.length > VISITED_AT_ONCE && turns.due;
  for (; id < nodes.length; id++) {
    const node = nodes[id]!;
    if (isDue(id)) yield turns.next();
    if (prepare && node.prepare !== undefined) yield* wait(node.prepare());
    if (node.eachChild !== undefined) asked(() => node.eachChild!(add), where);
    else if (node.children !== undefined) for (const [name, value] of childrenOf(node, where)) add(name, value);
    edgeStart.push(edgeNames.length);
  }

  const owners = nodes.length;
  const tree = { nodes, valueStart, values, edgeStart, edgeNames, edgeTargets, idOf, paths };
  const slots = { slotStart, slotVariables, slotNames, slotIds };
  for (id = 0; id < owners; id++) {
    if (isDue(id)) yield turns.next();
    if (nodes[id]!.slots !== undefined) addSlots({ ...tree, ...slots }, id, owners, resolve);
    slotStart.push(slotIds.length);
  }
  for (id = owners; id < nodes.length; id++) {
    edgeStart.push(edgeNames.length);
    slotStart.push(slotIds.length);
  }
  for (id = 0; id < nodes.length; id++) {
    if (isDue(id)) yield turns.next();
    const node = nodes[id]!;
    if (node.value !== undefined) values.push(node.value);
    else if (node.values !== undefined) for (const value of asked(() => node.values!(), where)) values.push(value);
    valueStart.push(values.length);
  }
  return { ...tree, ...slots };
}

/** All children at once, so that what an object of the caller's throws isn't mixed up with what the walk finds. */
function childrenOf(node: TrackableNode, where: () => string): readonly (readonly [string, unknown])[] {
  const children = asked(() => [...node.children!()], where);
  const seen = new Set<string>();
  for (const [name] of children) {
    if (seen.has(name)) {
      throw invalidArgument(`${where()} names two of its children '${name}'; names must be unique.`);
    }
    seen.add(name);
  }
  return children;
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
  return resultOf(walkSteps(root, resolve, { prepare: false, turns: ONE_TURN }));
}

export function checkName(name: unknown, where: () => string): asserts name is string {
  if (typeof name !== 'string' || name === '') {
    throw invalidArgument(`${where()} names a child ${describeValue(name)}; a name must be a non-empty string.`);
  }
  if (name.includes('\0') || !name.isWellFormed()) {
    throw invalidArgument(
      `${where()} names a child ${describeValue(name)}; a name must be well-formed Unicode without NUL.`,
    );
  }
}
