import { isUtf8 } from 'node:buffer';
import { dataLoss, inContext } from '../bundle/damage.ts';
import { WireReader, WireType, WireWriter } from '../bundle/wire.ts';

/**
 * The stored object graph: TensorFlow's `TrackableObjectGraph` (trackable_object_graph.proto) and its codec. Field numbers: facts of the tensor bundle, "The object graph".
 */
export interface ObjectGraph {
  readonly nodes: readonly GraphNode[];
}

export interface GraphNode {
  readonly children: readonly { readonly nodeId: number; readonly localName: string }[];
  readonly attributes: readonly GraphAttribute[];
  readonly slots: readonly { readonly variable: number; readonly name: string; readonly slot: number }[];
  /** An object that TensorFlow saves by registered functions; its values can't be restored here. */
  readonly registeredSaver?: { readonly name: string; readonly objectName: string };
  /** Whether this node or one below it has values. Undefined in graphs of older writers. */
  readonly hasCheckpointValues?: boolean;
}

export interface GraphAttribute {
  readonly name: string;
  /** The variable's global name, in graphs that TensorFlow wrote. */
  readonly fullName: string;
  readonly checkpointKey: string;
}

/** Serializes a graph. Deterministic: fields in order, zero values left out, as TensorFlow's serializer does. */
export function encodeObjectGraph(graph: ObjectGraph): Uint8Array {
  const out = new WireWriter(64 * graph.nodes.length + 256);
  const node = new WireWriter();
  const part = new WireWriter();
  for (const { children, attributes, slots, registeredSaver, hasCheckpointValues } of graph.nodes) {
    node.clear();
    for (const child of children) {
      number(part, 1, child.nodeId);
      text(part, 2, child.localName);
      message(node, 1, part);
    }
    for (const attribute of attributes) {
      text(part, 1, attribute.name);
      text(part, 2, attribute.fullName);
      text(part, 3, attribute.checkpointKey);
      message(node, 2, part);
    }
    for (const slot of slots) {
      number(part, 1, slot.variable);
      text(part, 2, slot.name);
      number(part, 3, slot.slot);
      message(node, 3, part);
    }
    if (registeredSaver !== undefined) {
      text(part, 1, registeredSaver.name);
      text(part, 2, registeredSaver.objectName);
      message(node, 4, part);
    }
    if (hasCheckpointValues !== undefined) {
      number(part, 1, hasCheckpointValues ? 1 : 0);
      message(node, 5, part);
    }
    message(out, 1, node);
  }
  return out.finish();
}

function number(to: WireWriter, field: number, value: number): void {
  if (value === 0) return;
  to.byte((field << 3) | WireType.varint);
  to.varint(value);
}

function text(to: WireWriter, field: number, value: string): void {
  if (value === '') return;
  to.byte((field << 3) | WireType.bytes);
  to.lengthAndText(value);
}

/** Appends `from` as a submessage and empties it. */
function message(to: WireWriter, field: number, from: WireWriter): void {
  bytes(to, field, from.view());
  from.clear();
}

function bytes(to: WireWriter, field: number, value: Uint8Array): void {
  to.byte((field << 3) | WireType.bytes);
  to.varint(value.length);
  to.append(value);
}

/**
 * Parses a stored graph. Nothing in it is trusted: lengths, node numbers and text are checked.
 *
 * @throws CheckpointError DATA_LOSS for bytes that are not such a message, or edges to nodes that don't exist.
 */
export function decodeObjectGraph(serialized: Uint8Array, path?: string): ObjectGraph {
  return inContext('The object graph is damaged', { path }, () => {
    const nodes: GraphNode[] = [];
    forEachField(new WireReader(serialized), (tag, node) => {
      if (tag !== tagOf(1)) return false;
      nodes.push(decodeNode(node.message()));
      return true;
    });
    checkEdges(nodes);
    return { nodes };
  });
}

function checkEdges(nodes: readonly GraphNode[]): void {
  if (nodes.length === 0) throw dataLoss('it has no root');
  const check = (id: number) => {
    if (id < 0 || id >= nodes.length) throw dataLoss(`an edge leads to node ${id}, and there are ${nodes.length}`);
  };
  for (const node of nodes) {
    for (const child of node.children) check(child.nodeId);
    for (const slot of node.slots) {
      check(slot.variable);
      check(slot.slot);
    }
  }
}

function decodeNode(reader: WireReader): GraphNode {
  const children: { nodeId: number; localName: string }[] = [];
  const attributes: GraphAttribute[] = [];
  const slots: { variable: number; name: string; slot: number }[] = [];
  let registeredSaver: GraphNode['registeredSaver'];
  let hasCheckpointValues: boolean | undefined;
  forEachField(reader, (tag) => {
    switch (tag) {
      case tagOf(1): {
        const { numbers, texts } = fieldsOf(reader.message());
        children.push({ nodeId: numbers[1]!, localName: texts[2]! });
        return true;
      }
      case tagOf(2): {
        const { texts } = fieldsOf(reader.message());
        attributes.push({ name: texts[1]!, fullName: texts[2]!, checkpointKey: texts[3]! });
        return true;
      }
      case tagOf(3): {
        const { numbers, texts } = fieldsOf(reader.message());
        slots.push({ variable: numbers[1]!, name: texts[2]!, slot: numbers[3]! });
        return true;
      }
      case tagOf(4): {
        const { texts } = fieldsOf(reader.message());
        registeredSaver = { name: texts[1]!, objectName: texts[2]! };
        return true;
      }
      case tagOf(5):
        hasCheckpointValues = fieldsOf(reader.message()).numbers[1] !== 0;
        return true;
      default:
        return false;
    }
  });
  return { children, attributes, slots, registeredSaver, hasCheckpointValues };
}

/** The tag of a length-delimited field. */
function tagOf(field: number): number {
  return field * 8 + WireType.bytes;
}

/** Fields 1 to 3 of a small message; the last one given wins, as protobuf has it. */
function fieldsOf(reader: WireReader): { numbers: number[]; texts: string[] } {
  const numbers = [0, 0, 0, 0];
  const texts = ['', '', '', ''];
  forEachField(reader, (tag) => {
    const field = tag >>> 3;
    if (field > 3) return false;
    if (tag % 8 === WireType.varint) numbers[field] = reader.int32();
    else if (tag % 8 === WireType.bytes) texts[field] = utf8(reader.lengthDelimited());
    else return false;
    return true;
  });
  return { numbers, texts };
}

function utf8(raw: Uint8Array): string {
  if (!isUtf8(raw)) throw dataLoss('a name is not UTF-8');
  return Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('utf8');
}

/** Calls `read` with each tag; what it doesn't know (false) is skipped. */
function forEachField(reader: WireReader, read: (tag: number, reader: WireReader) => boolean): void {
  while (!reader.done) {
    const tag = reader.tag();
    if (!read(tag, reader)) reader.skip(tag);
  }
}
