import { attributeKey, attributeName } from './keys.ts';
import type { ObjectGraph } from './object-graph.ts';
import type { ObjectTree } from './tree.ts';

/** The graph of a tree, as TensorFlow writes it for the same objects (but for `full_name`, which it has no use for). */
export function graphOfTree(tree: ObjectTree): ObjectGraph {
  const paths = tree.paths();
  const holding = nodesWithValues(tree);
  return {
    nodes: tree.nodes.map((_, id) => {
      const children = [];
      for (let edge = tree.edgeStart[id]!; edge < tree.edgeStart[id + 1]!; edge++) {
        children.push({ nodeId: tree.edgeTargets[edge]!, localName: tree.edgeNames[edge]! });
      }
      return {
        children,
        attributes: tree.values[id]!.map(({ attribute }) => ({
          name: attributeName(attribute),
          fullName: '',
          checkpointKey: attributeKey(paths[id]!, attribute),
        })),
        slots: tree.slots.get(id) ?? [],
        hasCheckpointValues: holding[id] === 1,
      };
    }),
  };
}

/** 1 for each node that has values or slots itself or from which, over children, one that has can be reached. */
function nodesWithValues(tree: ObjectTree): Uint8Array {
  const count = tree.nodes.length;
  const holding = new Uint8Array(count);
  const pending: number[] = [];
  // Parents in the same flat form as the edges, so that going up is as cheap as going down.
  const start = new Uint32Array(count + 1);
  for (const target of tree.edgeTargets) start[target + 1]!++;
  for (let id = 0; id < count; id++) start[id + 1]! += start[id]!;
  const fill = start.slice();
  const parents = new Uint32Array(tree.edgeTargets.length);
  for (let id = 0; id < count; id++) {
    for (let edge = tree.edgeStart[id]!; edge < tree.edgeStart[id + 1]!; edge++) {
      parents[fill[tree.edgeTargets[edge]!]!++] = id;
    }
    if (tree.values[id]!.length > 0 || tree.slots.has(id)) {
      holding[id] = 1;
      pending.push(id);
    }
  }
  for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
    for (let at = start[id]!; at < start[id + 1]!; at++) {
      const parent = parents[at]!;
      if (holding[parent] === 0) {
        holding[parent] = 1;
        pending.push(parent);
      }
    }
  }
  return holding;
}
