import { Holds, NodeField, type ObjectGraph } from '../../src/checkpoint/object-graph.ts';
import { MessageWriter } from './message-writer.ts';

type GlobalName = (row: number) => string;

/**
 * A graph as TensorFlow's serializer writes it, also one that this package reads and never writes. `globalName`: what
 * TensorFlow calls the variable of an attribute's row; this package has no such names, and reads none.
 */
export function encodeGraph(graph: ObjectGraph, globalName: GlobalName = () => ''): Uint8Array {
  const out = new MessageWriter();
  for (let id = 0; id < graph.nodeCount; id++) out.message(0x0a, (node) => encodeNode(node, graph, id, globalName));
  return out.view();
}

function encodeNode(node: MessageWriter, graph: ObjectGraph, id: number, globalName: GlobalName): void {
  for (let row = graph.childStart[id]!; row < graph.childStart[id + 1]!; row++) {
    node.message(NodeField.child, (child) => {
      child.numberField(0x08, graph.childIds[row]!);
      child.textField(0x12, graph.childNames.at(row));
    });
  }
  for (let row = graph.attributeStart[id]!; row < graph.attributeStart[id + 1]!; row++) {
    node.message(NodeField.attribute, (attribute) => {
      attribute.textField(0x0a, graph.attributeNames[graph.attributes[row]!]!);
      attribute.textField(0x12, globalName(row));
      attribute.textField(0x1a, graph.attributeKeys.at(row));
    });
  }
  for (let row = graph.slotStart[id]!; row < graph.slotStart[id + 1]!; row++) {
    node.message(NodeField.slot, (slot) => {
      slot.numberField(0x08, graph.slotVariables[row]!);
      slot.textField(0x12, graph.slotNames.at(row));
      slot.numberField(0x18, graph.slotIds[row]!);
    });
  }
  const saver = graph.savers.get(id);
  if (saver !== undefined) {
    node.message(NodeField.saver, (registered) => {
      registered.textField(0x0a, saver.name);
      registered.textField(0x12, saver.objectName);
    });
  }
  const holds = graph.holds[id]!;
  if (holds !== Holds.unknown) node.message(NodeField.holds, (wrapped) => wrapped.numberField(0x08, holds));
}
