import type { Texts } from './texts.ts';

/**
 * The stored object graph, TensorFlow's `TrackableObjectGraph` (trackable_object_graph.proto), as columns: it has as
 * many nodes as a model has tensors. What belongs to node n are the rows from `…Start[n]` up to `…Start[n + 1]`.
 */
export interface ObjectGraph {
  readonly nodeCount: number;
  /** Edges to other nodes, by local name. */
  readonly childStart: ArrayLike<number>;
  readonly childIds: ArrayLike<number>;
  readonly childNames: Texts;
  /** Values: the attribute's name, by its number in `attributeNames`, and the key. */
  readonly attributeStart: ArrayLike<number>;
  readonly attributes: ArrayLike<number>;
  readonly attributeNames: readonly string[];
  readonly attributeKeys: Texts;
  /** The row of each key in the index, −1 for one that it doesn't have; where that was looked up. */
  readonly entryRows?: ArrayLike<number>;
  /** Slot variables of optimizers. */
  readonly slotStart: ArrayLike<number>;
  readonly slotVariables: ArrayLike<number>;
  readonly slotNames: Texts;
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
    yield { nodeId: graph.childIds[row]!, localName: graph.childNames.at(row) };
  }
}

/** The row of a node's attribute, −1 if it has none of this name. */
export function attributeRow(graph: ObjectGraph, id: number, name: string): number {
  const { attributeStart, attributes, attributeNames } = graph;
  const end = attributeStart[id + 1]!;
  for (let row = attributeStart[id]!; row < end; row++) if (attributeNames[attributes[row]!] === name) return row;
  return -1;
}

/** Texts that repeat, each as its number in `names`. */
export function numbered(texts: readonly string[]): { numbers: Uint32Array; names: string[] } {
  const known = new Map<string, number>();
  const numbers = Uint32Array.from(texts, (text) => {
    const number = known.get(text) ?? known.size;
    known.set(text, number);
    return number;
  });
  return { numbers, names: [...known.keys()] };
}

/** `unknown` in graphs of older writers. */
export const Holds = { nothing: 0, values: 1, unknown: 2 } as const;

/** Tags of TrackableObject's fields, all length-delimited. Numbers: facts of the tensor bundle, "The object graph". */
export const NodeField = { child: 0x0a, attribute: 0x12, slot: 0x1a, saver: 0x22, holds: 0x2a } as const;
