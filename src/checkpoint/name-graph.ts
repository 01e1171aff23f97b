import { attributeName } from './keys.ts';
import { Holds, numbered, type ObjectGraph } from './object-graph.ts';
import { textsOf } from './texts.ts';
import type { ObjectTree } from './tree.ts';

/**
 * A graph for a checkpoint that has none: one written by name (TensorFlow 1's Saver, a raw SaveV2 op). TensorFlow falls
 * back to the variables' global names; an object here has no global name, so its path takes that place, unescaped and
 * joined by slashes: `{ dense: { kernel } }` and `{ 'dense/kernel': kernel }` both match the key `dense/kernel`.
 *
 * The graph mirrors the objects, so that it is matched like any other; keys that no object has hang on a node that
 * nothing leads to. Objects that appear later are not matched, as in TensorFlow.
 */
export function graphByNames(tree: ObjectTree, storedKeys: Iterable<string>): ObjectGraph {
  const names = tree.paths.globalNames();
  const left = new Set(storedKeys);
  const attributeStart = [0];
  const attributeNames: string[] = [];
  const attributeKeys: string[] = [];
  for (let id = 0; id < tree.nodes.length; id++) {
    for (let row = tree.valueStart[id]!; row < tree.valueStart[id + 1]!; row++) {
      if (!left.delete(names[id]!)) continue;
      attributeNames.push(attributeName(tree.values.at(row).attribute));
      attributeKeys.push(names[id]!);
    }
    attributeStart.push(attributeKeys.length);
  }
  for (const key of left) {
    attributeNames.push(key);
    attributeKeys.push(key);
  }
  attributeStart.push(attributeKeys.length);
  const { numbers: attributes, names: distinctNames } = numbered(attributeNames);
  const nodeCount = tree.nodes.length + 1;
  return {
    nodeCount,
    childStart: [...Array.from(tree.edgeStart), tree.edgeTargets.length],
    childIds: tree.edgeTargets,
    childNames: textsOf(tree.edgeNames),
    attributeStart,
    attributes,
    attributeNames: distinctNames,
    attributeKeys: textsOf(attributeKeys),
    slotStart: new Uint32Array(nodeCount + 1),
    slotVariables: [],
    slotNames: textsOf([]),
    slotIds: [],
    savers: new Map(),
    holds: new Uint8Array(nodeCount).fill(Holds.unknown),
  };
}
