import { attributeName } from './keys.ts';
import { attributeRow, childrenOf } from './object-graph.ts';
import type { Stored } from './restore-session.ts';
import type { StoredNode } from './trackable.ts';

/** A node of a stored graph as adapters see it. */
export function storedNode(stored: Stored, id: number): StoredNode {
  const { graph, entries } = stored;
  const { childStart, childNames } = graph;
  const first = childStart[id]!;
  let edges: Map<string, number> | undefined;
  return {
    childNames: Array.from({ length: childStart[id + 1]! - first }, (_, i) => childNames.at(first + i)),
    child: (name) => {
      edges ??= new Map(Array.from(childrenOf(graph, id), ({ localName, nodeId }) => [localName, nodeId]));
      const child = edges.get(name);
      return child === undefined ? undefined : storedNode(stored, child);
    },
    value: (attribute) => {
      const row = attributeRow(graph, id, attributeName(attribute));
      if (row < 0) return undefined;
      const key = graph.attributeKeys.at(row);
      const entry = entries.get(key);
      return entry && { key, dtype: entry.dtype, shape: entry.shape };
    },
  };
}
