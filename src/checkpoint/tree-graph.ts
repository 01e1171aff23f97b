import { inTurns, type Steps, type Turns } from '../steps.ts';
import { attributeName } from './keys.ts';
import { Holds, type ObjectGraph } from './object-graph.ts';
import type { ObjectTree } from './tree.ts';

/**
 * The graph of a tree, as TensorFlow writes it for the same objects (but for `full_name`, which it has no use for).
 *
 * @param keys of the tree's values, in their order.
 */
export function* graphOfTree(tree: ObjectTree, keys: readonly string[], turns: Turns): Steps<ObjectGraph> {
  const attributeNames = new Array<string>(keys.length);
  let [last, escaped] = ['', ''];
  yield* inTurns(turns, keys.length, (first, end) => {
    for (let row = first; row < end; row++) {
      const { attribute } = tree.values[row]!;
      if (attribute !== last) [last, escaped] = [attribute, attributeName(attribute)];
      attributeNames[row] = escaped;
    }
  });
  return {
    nodeCount: tree.nodes.length,
    childStart: tree.edgeStart,
    childIds: tree.edgeTargets,
    childNames: tree.edgeNames,
    attributeStart: tree.valueStart,
    attributeNames,
    attributeFullNames: [],
    attributeKeys: keys,
    slotStart: tree.slotStart,
    slotVariables: tree.slotVariables,
    slotNames: tree.slotNames,
    slotIds: tree.slotIds,
    savers: new Map(),
    holds: yield* nodesWithValues(tree, turns),
  };
}

/** Which nodes have values or slots themselves or lead, over children, to one that has. */
function* nodesWithValues(tree: ObjectTree, turns: Turns): Steps<Uint8Array> {
  const { edgeStart, edgeTargets, valueStart, slotStart } = tree;
  const count = tree.nodes.length;
  const holds = new Uint8Array(count);
  const pending: number[] = [];
  // Parents in the same flat form as the edges, so that going up is as cheap as going down.
  const start = new Uint32Array(count + 1);
  const parents = new Uint32Array(edgeTargets.length);
  yield* inTurns(turns, edgeTargets.length, (first, end) => {
    for (let edge = first; edge < end; edge++) start[edgeTargets[edge]! + 1]!++;
  });
  yield* inTurns(turns, count, (first, end) => {
    for (let id = first; id < end; id++) start[id + 1]! += start[id]!;
  });
  const fill = start.slice();
  yield* inTurns(turns, count, (first, end) => {
    for (let id = first; id < end; id++) {
      for (let edge = edgeStart[id]!; edge < edgeStart[id + 1]!; edge++) {
        parents[fill[edgeTargets[edge]!]!++] = id;
      }
      if (valueStart[id] === valueStart[id + 1] && slotStart[id] === slotStart[id + 1]) continue;
      holds[id] = Holds.values;
      pending.push(id);
    }
  });
  let steps = 0;
  for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
    for (let at = start[id]!; at < start[id + 1]!; at++) {
      const parent = parents[at]!;
      if (holds[parent] === Holds.values) continue;
      holds[parent] = Holds.values;
      pending.push(parent);
    }
    if (++steps % 1024 === 0 && turns.due) yield turns.next();
  }
  return holds;
}
