/**
 * The stored object graph, TensorFlow's `TrackableObjectGraph` (trackable_object_graph.proto), as columns: it has as
 * many nodes as a model has tensors. What belongs to node n are the rows from `…Start[n]` up to `…Start[n + 1]`.
 */
export interface ObjectGraph {
  readonly nodeCount: number;
  /** Edges to other nodes, by local name. */
  readonly childStart: ArrayLike<number>;
  readonly childIds: ArrayLike<number>;
  readonly childNames: readonly string[];
  /** Values: the attribute's name, the variable's global name (in graphs that TensorFlow wrote, else empty), the key. */
  readonly attributeStart: ArrayLike<number>;
  readonly attributeNames: readonly string[];
  readonly attributeFullNames: readonly string[];
  readonly attributeKeys: readonly string[];
  /** Slot variables of optimizers. */
  readonly slotStart: ArrayLike<number>;
  readonly slotVariables: ArrayLike<number>;
  readonly slotNames: readonly string[];
  readonly slotIds: ArrayLike<number>;
  /** Objects that TensorFlow saves by registered functions; their values can't be restored here. */
  readonly savers: ReadonlyMap<number, RegisteredSaver>;
  /** Whether a node or one below it has values: one of {@link Holds}. */
  readonly holds: Uint8Array;
}

export interface RegisteredSaver {
  readonly name: string;
  readonly objectName: string;
}

/** The edges of a node, for those who look at few nodes. */
export function* childrenOf(graph: ObjectGraph, id: number): Generator<{ nodeId: number; localName: string }> {
  for (let row = graph.childStart[id]!; row < graph.childStart[id + 1]!; row++) {
    yield { nodeId: graph.childIds[row]!, localName: graph.childNames[row]! };
  }
}

/** The row of a node's attribute, −1 if it has none of this name. */
export function attributeRow(graph: ObjectGraph, id: number, name: string): number {
  const end = graph.attributeStart[id + 1]!;
  for (let row = graph.attributeStart[id]!; row < end; row++) if (graph.attributeNames[row] === name) return row;
  return -1;
}

/** `unknown` in graphs of older writers. */
export const Holds = { nothing: 0, values: 1, unknown: 2 } as const;

/** Tags of TrackableObject's fields, all length-delimited. Numbers: facts of the tensor bundle, "The object graph". */
export const NodeField = { child: 0x0a, attribute: 0x12, slot: 0x1a, saver: 0x22, holds: 0x2a } as const;
