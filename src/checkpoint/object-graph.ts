import { WireWriter } from '../bundle/wire-writer.ts';
import { inTurns, type Steps, type Turns } from '../steps.ts';

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

/** Nodes and edges that are encoded before the event loop may turn. */
const PIECE = 64;

/** What a node takes beside its names, about. Bytes. */
const NODE_BYTES = 64;

/**
 * Serializes a graph. Deterministic: fields in order, zero values left out, as TensorFlow's serializer does.
 *
 * @param room bytes that are left free before it.
 */
export function* encodeObjectGraph(graph: ObjectGraph, turns: Turns, room = 0): Steps<Uint8Array> {
  let capacity = 256 + room + NODE_BYTES * graph.nodeCount;
  yield* inTurns(turns, graph.attributeKeys.length, (first, end) => {
    for (let row = first; row < end; row++) capacity += graph.attributeKeys[row]!.length;
  });
  const encoder = new GraphEncoder(graph, capacity);
  for (let i = 0; i < room; i++) encoder.out.byte(0);
  while (encoder.encodePiece()) if (turns.due) yield turns.next();
  return encoder.out.finish();
}

/** Encodes a graph piece by piece, also within a node: one may have a million children. */
class GraphEncoder {
  readonly out: WireWriter;
  readonly #graph: ObjectGraph;
  /** The node being encoded, where its content begins (−1: it isn't begun), and its next edge. */
  #id = 0;
  #start = -1;
  #edge = 0;

  constructor(graph: ObjectGraph, capacity: number) {
    this.#graph = graph;
    this.out = new WireWriter(capacity);
  }

  /** Encodes some nodes and edges; false once all are there. */
  encodePiece(): boolean {
    const { out } = this;
    const graph = this.#graph;
    for (let work = 0; work < PIECE; work++) {
      const id = this.#id;
      if (id === graph.nodeCount) return false;
      if (this.#start < 0) {
        out.byte(0x0a);
        this.#start = out.open();
        this.#edge = graph.childStart[id]!;
      }
      const last = graph.childStart[id + 1]!;
      const end = Math.min(last, this.#edge + PIECE - work);
      work += end - this.#edge;
      for (; this.#edge < end; this.#edge++) encodeEdge(out, graph, this.#edge);
      if (end < last) return true;
      encodeNode(out, graph, id);
      out.close(this.#start);
      this.#start = -1;
      this.#id++;
    }
    return true;
  }
}

function encodeEdge(out: WireWriter, graph: ObjectGraph, row: number): void {
  out.byte(NodeField.child);
  const child = out.open();
  out.numberField(0x08, graph.childIds[row]!);
  out.textField(0x12, graph.childNames[row]!);
  out.close(child);
}

/** What a node has beside its edges, which come first. */
function encodeNode(out: WireWriter, graph: ObjectGraph, id: number): void {
  for (let row = graph.attributeStart[id]!; row < graph.attributeStart[id + 1]!; row++) {
    out.byte(NodeField.attribute);
    const attribute = out.open();
    out.textField(0x0a, graph.attributeNames[row]!);
    out.textField(0x12, graph.attributeFullNames[row] ?? '');
    out.textField(0x1a, graph.attributeKeys[row]!);
    out.close(attribute);
  }
  for (let row = graph.slotStart[id]!; row < graph.slotStart[id + 1]!; row++) {
    out.byte(NodeField.slot);
    const slot = out.open();
    out.numberField(0x08, graph.slotVariables[row]!);
    out.textField(0x12, graph.slotNames[row]!);
    out.numberField(0x18, graph.slotIds[row]!);
    out.close(slot);
  }
  const saver = graph.savers.get(id);
  if (saver !== undefined) {
    out.byte(NodeField.saver);
    const registered = out.open();
    out.textField(0x0a, saver.name);
    out.textField(0x12, saver.objectName);
    out.close(registered);
  }
  const holds = graph.holds[id]!;
  if (holds !== Holds.unknown) {
    out.byte(NodeField.holds);
    const wrapped = out.open();
    out.numberField(0x08, holds);
    out.close(wrapped);
  }
}
