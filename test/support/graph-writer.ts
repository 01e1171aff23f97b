import { Holds, NodeField, type ObjectGraph } from '../../src/checkpoint/object-graph.ts';
import { MessageWriter } from './message-writer.ts';

/** A graph as TensorFlow's serializer writes it, also one that this package reads and never writes. */
export function encodeGraph(graph: ObjectGraph): Uint8Array {
  const out = new MessageWriter();
  for (let id = 0; id < graph.nodeCount; id++) {
    out.byte(0x0a);
    const node = out.open();
    for (let row = graph.childStart[id]!; row < graph.childStart[id + 1]!; row++) encodeEdge(out, graph, row);
    encodeNode(out, graph, id);
    out.close(node);
  }
  return out.view();
}

function encodeEdge(out: MessageWriter, graph: ObjectGraph, row: number): void {
  out.byte(NodeField.child);
  const child = out.open();
  out.numberField(0x08, graph.childIds[row]!);
  out.textField(0x12, graph.childNames[row]!);
  out.close(child);
}

/** What a node has beside its edges, which come first. */
function encodeNode(out: MessageWriter, graph: ObjectGraph, id: number): void {
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
