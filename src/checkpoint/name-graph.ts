import type { BundleEntryInfo } from '../bundle/index.ts';
import { attributeName } from './keys.ts';
import type { GraphNode, ObjectGraph } from './object-graph.ts';
import type { ObjectTree } from './tree.ts';

/**
 * A graph for a checkpoint that has none: one written by name (TensorFlow 1's Saver, a raw SaveV2 op). TensorFlow falls
 * back to the variables' global names; an object here has no global name, so its path takes that place, unescaped and
 * joined by slashes: `{ dense: { kernel } }` and `{ 'dense/kernel': kernel }` both match the key `dense/kernel`.
 *
 * The graph mirrors the objects, so that it is matched like any other; keys that no object has hang on a node that
 * nothing leads to. Objects that appear later are not matched, as in TensorFlow.
 */
export function graphByNames(tree: ObjectTree, entries: ReadonlyMap<string, BundleEntryInfo>): ObjectGraph {
  const names = tree.globalNames();
  const left = new Set(entries.keys());
  const nodes = tree.nodes.map((_, id): GraphNode => {
    const children = [];
    for (let edge = tree.edgeStart[id]!; edge < tree.edgeStart[id + 1]!; edge++) {
      children.push({ nodeId: tree.edgeTargets[edge]!, localName: tree.edgeNames[edge]! });
    }
    const attributes = tree.values[id]!.filter(() => left.delete(names[id]!)).map(({ attribute }) => ({
      name: attributeName(attribute),
      fullName: names[id]!,
      checkpointKey: names[id]!,
    }));
    return { children, attributes, slots: [] };
  });
  const rest = [...left].map((key) => ({ name: key, fullName: key, checkpointKey: key }));
  if (rest.length > 0) nodes.push({ children: [], attributes: rest, slots: [] });
  return { nodes };
}
