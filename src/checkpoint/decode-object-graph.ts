import { isUtf8 } from 'node:buffer';
import { dataLoss, inContext } from '../bundle/damage.ts';
import { NumberColumn } from '../bundle/number-column.ts';
import { WireReader, WireType } from '../bundle/wire-reader.ts';
import type { Steps, Turns } from '../steps.ts';
import { Holds, NodeField, type ObjectGraph, type RegisteredSaver } from './object-graph.ts';
import { textsOf } from './texts.ts';

/** How much is read before the event loop may turn. Bytes. */
const PIECE = 2 ** 12;

/** What a node takes in a graph, about, with the edge that leads to it. */
const NODE_BYTES = 64;

/**
 * Parses a stored graph, of every kind. Nothing in it is trusted: lengths, node numbers and text are checked. What
 * native/format/read_graph.cc accepts this must understand in the same way.
 *
 * @throws CheckpointError DATA_LOSS for bytes that are not such a message, or edges to nodes that don't exist.
 */
export function* decodeObjectGraph(serialized: Uint8Array, path: string | undefined, turns: Turns): Steps<ObjectGraph> {
  const decoder = new Decoder(serialized);
  const checked = <T>(work: () => T) => inContext('The object graph is damaged', { path }, work);
  while (checked(() => decoder.readPiece(PIECE))) if (turns.due) yield turns.next();
  return checked(() => decoder.finish());
}

class Decoder {
  readonly #reader: WireReader;
  readonly #childStart: NumberColumn<Int32Array>;
  readonly #childIds: NumberColumn<Int32Array>;
  readonly #childNames: string[] = [];
  readonly #attributeStart: NumberColumn<Int32Array>;
  readonly #attributes = NumberColumn.uint32();
  /** With their numbers: there are few. */
  readonly #attributeNames = new Map<string, number>();
  readonly #attributeKeys: string[] = [];
  readonly #slotStart: NumberColumn<Int32Array>;
  readonly #slotVariables = NumberColumn.int32();
  readonly #slotNames: string[] = [];
  readonly #slotIds = NumberColumn.int32();
  readonly #savers = new Map<number, RegisteredSaver>();
  readonly #holds: NumberColumn<Int32Array>;
  readonly #fields: Fields;
  /** Of the node being read, which may have a million children: what it holds, and where the graph goes on behind it. */
  #nodeHolds: number = Holds.unknown;
  #outer = -1;

  constructor(serialized: Uint8Array) {
    this.#reader = new WireReader(serialized);
    this.#fields = new Fields(serialized);
    const nodes = Math.ceil(serialized.length / NODE_BYTES);
    this.#childStart = NumberColumn.int32(nodes + 1);
    this.#childIds = NumberColumn.int32(nodes);
    this.#attributeStart = NumberColumn.int32(nodes + 1);
    this.#slotStart = NumberColumn.int32(nodes + 1);
    this.#holds = NumberColumn.int32(nodes);
    for (const start of [this.#childStart, this.#attributeStart, this.#slotStart]) start.push(0);
  }

  /** Reads `bytes` bytes or somewhat more; false once all are read. */
  readPiece(bytes: number): boolean {
    const reader = this.#reader;
    const end = reader.position + bytes;
    while (reader.position < end) {
      if (this.#outer >= 0) {
        this.#readNode(reader, end);
        continue;
      }
      if (reader.done) return false;
      const tag = reader.tag();
      if (tag === 0x0a) {
        this.#outer = reader.enter();
        this.#nodeHolds = Holds.unknown;
      } else reader.skip(tag);
    }
    return true;
  }

  #numberOf(attribute: string): number {
    let number = this.#attributeNames.get(attribute);
    if (number === undefined) {
      number = this.#attributeNames.size;
      this.#attributeNames.set(attribute, number);
    }
    return number;
  }

  finish(): ObjectGraph {
    const nodeCount = this.#holds.length;
    if (nodeCount === 0) throw dataLoss('it has no root');
    for (const ids of [this.#childIds, this.#slotVariables, this.#slotIds]) {
      for (let row = 0; row < ids.length; row++) {
        const id = ids.at(row);
        if (id < 0 || id >= nodeCount) throw dataLoss(`an edge leads to node ${id}, and there are ${nodeCount}`);
      }
    }
    return {
      nodeCount,
      childStart: this.#childStart.view(),
      childIds: this.#childIds.view(),
      childNames: textsOf(this.#childNames),
      attributeStart: this.#attributeStart.view(),
      attributes: this.#attributes.view(),
      attributeNames: [...this.#attributeNames.keys()],
      attributeKeys: textsOf(this.#attributeKeys),
      slotStart: this.#slotStart.view(),
      slotVariables: this.#slotVariables.view(),
      slotNames: textsOf(this.#slotNames),
      slotIds: this.#slotIds.view(),
      savers: this.#savers,
      holds: Uint8Array.from(this.#holds.view()),
    };
  }

  /** Goes on with a node, up to its end or the first field at or behind `end`. */
  #readNode(reader: WireReader, end: number): void {
    const fields = this.#fields;
    while (!reader.done) {
      if (reader.position >= end) return;
      const tag = reader.tag();
      switch (tag) {
        case NodeField.child:
          fields.read(reader);
          this.#childIds.push(fields.numbers[1]!);
          this.#childNames.push(fields.text(2));
          break;
        case NodeField.attribute:
          fields.read(reader);
          this.#attributes.push(this.#numberOf(fields.text(1)));
          this.#attributeKeys.push(fields.text(3));
          break;
        case NodeField.slot:
          fields.read(reader);
          this.#slotVariables.push(fields.numbers[1]!);
          this.#slotNames.push(fields.text(2));
          this.#slotIds.push(fields.numbers[3]!);
          break;
        case NodeField.saver:
          fields.read(reader);
          this.#savers.set(this.#holds.length, { name: fields.text(1), objectName: fields.text(2) });
          break;
        case NodeField.holds:
          fields.read(reader);
          this.#nodeHolds = fields.numbers[1] === 0 ? Holds.nothing : Holds.values;
          break;
        default:
          reader.skip(tag);
      }
    }
    reader.leave(this.#outer);
    this.#outer = -1;
    this.#holds.push(this.#nodeHolds);
    this.#childStart.push(this.#childIds.length);
    this.#attributeStart.push(this.#attributeKeys.length);
    this.#slotStart.push(this.#slotIds.length);
  }
}

/** Fields 1 to 3 of the small message read last; of several with one number the last wins, as protobuf has it. */
class Fields {
  readonly numbers = [0, 0, 0, 0];
  readonly #bytes: Buffer;
  readonly #start = [0, 0, 0, 0];
  readonly #end = [0, 0, 0, 0];
  /** What field 1 was last: attribute names repeat from node to node. */
  #name = '';

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Reads the submessage at the reader's position. */
  read(reader: WireReader): void {
    for (let field = 1; field <= 3; field++) {
      this.numbers[field] = 0;
      this.#start[field] = 0;
      this.#end[field] = 0;
    }
    const outer = reader.enter();
    while (!reader.done) {
      const tag = reader.tag();
      const field = tag >>> 3;
      if (field <= 3 && tag % 8 === WireType.varint) this.numbers[field] = reader.int32();
      else if (field <= 3 && tag % 8 === WireType.bytes) {
        const rest = reader.enter();
        this.#start[field] = reader.position;
        this.#end[field] = reader.end;
        reader.leave(rest);
      } else reader.skip(tag);
    }
    reader.leave(outer);
  }

  text(field: number): string {
    const start = this.#start[field]!;
    const end = this.#end[field]!;
    if (start === end) return '';
    if (field === 1 && isAscii(this.#bytes, start, end, this.#name)) return this.#name;
    const text = this.#bytes.toString('utf8', start, end);
    // What isn't UTF-8 is read as U+FFFD, which may also be meant.
    if (text.includes('\ufffd') && !isUtf8(this.#bytes.subarray(start, end))) throw dataLoss('a name is not UTF-8');
    if (field === 1) this.#name = text;
    return text;
  }
}

/** Whether these bytes are `text`, which is ASCII. */
function isAscii(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) {
    const byte = bytes[start + i]!;
    if (byte > 127 || byte !== text.charCodeAt(i)) return false;
  }
  return true;
}
