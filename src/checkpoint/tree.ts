import type { ObjectColumn } from '../bundle/object-column.ts';
import { describeValue, invalidArgument, isCheckpointError } from '../errors.ts';
import { ONE_TURN, resultOf, type Steps, type Turns } from '../steps.ts';
import type { ObjectNumbers } from './object-numbers.ts';
import type { TrackableNode, TrackableValue } from './trackable.ts';
import type { TreePaths } from './tree-paths.ts';
import { TreeWalk } from './tree-walk.ts';

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
  readonly nodes: ObjectColumn<TrackableNode>;
  /** Values of node n are those from `valueStart[n]` up to `valueStart[n + 1]`; edges and slots likewise. */
  readonly valueStart: Int32Array;
  readonly values: ObjectColumn<TrackableValue>;
  readonly edgeStart: Int32Array;
  readonly edgeNames: readonly string[];
  readonly edgeTargets: Int32Array;
  /** The slot variables of an optimizer, all by node number. */
  readonly slotStart: Int32Array;
  readonly slotVariables: Int32Array;
  readonly slotNames: readonly string[];
  readonly slotIds: Int32Array;
  readonly idOf: ObjectNumbers;
  /** What nodes are called. */
  readonly paths: TreePaths;
}

export interface WalkOptions {
  /** Call every node's prepare() before its children are asked for, and wait for it. */
  readonly prepare: boolean;
  readonly turns: Turns;
  /** Objects that may be found before the event loop turns. Default {@link VISITED_AT_ONCE}. */
  readonly visitedAtOnce?: number;
  /** The names of the edges in the last walk, which mostly are the same. */
  readonly lastNames?: readonly string[];
}

/**
 * So many objects are visited, and their values captured, in one turn of the event loop: they are saved as they are at
 * one moment. Those of larger trees over several turns: trees of more objects, or whose arrays and plain objects hold more together.
 */
export const VISITED_AT_ONCE = 2 ** 12;

/** Walks the tree below `root`. It waits only for prepare(), and for turns of the event loop where a tree is large. */
export function walkSteps(root: TrackableNode, resolve: Resolve, options: WalkOptions): Steps<ObjectTree> {
  return new TreeWalk(root, resolve, options).run();
}

/** What one of the caller's objects answers; what it throws is told with the object's path. */
export function asked<T>(ask: () => T, where: () => string): T {
  try {
    return ask();
  } catch (cause) {
    throw refusal(cause, where);
  }
}

/** What one of the caller's objects has thrown, told with its path. */
export function refusal(cause: unknown, where: () => string): unknown {
  if (isCheckpointError(cause)) return cause;
  const message = cause instanceof Error ? cause.message : describeValue(cause);
  return invalidArgument(`${where()} can't be saved: ${message}`, { cause });
}

/** {@link walkSteps} where nothing may be asynchronous: assertions, and the search for objects that have appeared. */
export function walkNow(root: TrackableNode, resolve: Resolve): ObjectTree {
  return resultOf(walkSteps(root, resolve, { prepare: false, turns: ONE_TURN }));
}

/** Names that were good: the same ones come again with every save. So many are kept. */
const goodNames = new Set<string>();
const KEPT_NAMES = 4096;

export function checkName(name: unknown, where: () => string): asserts name is string {
  if (goodNames.has(name as string)) return;
  if (typeof name !== 'string' || name === '') {
    throw invalidArgument(`${where()} names a child ${describeValue(name)}; a name must be a non-empty string.`);
  }
  if (name.includes('\0') || !name.isWellFormed()) {
    throw invalidArgument(
      `${where()} names a child ${describeValue(name)}; a name must be well-formed Unicode without NUL.`,
    );
  }
  if (goodNames.size < KEPT_NAMES) goodNames.add(name);
}
