import { isUtf8 } from 'node:buffer';
import { dataLoss, inContext } from '../bundle/damage.ts';
import { WireReader, WireType } from '../bundle/wire.ts';
import type { Steps, Turns } from '../steps.ts';
import { Holds, NodeField, type ObjectGraph, type RegisteredSaver } from './object-graph.ts';

/** How much is read before the event loop may turn, but for the last node's rest. Bytes. */
const PIECE = 2 ** 12;

/**
 * Parses a stored graph. Nothing in it is trusted: lengths, node numbers and text are checked.
 *
 * @throws CheckpointError DATA_LOSS for bytes that are not such a message, or edges to nodes that don't exist.
 */
export function* decodeObjectGraph(serialized: Uint8Array, path: string | undefined, turns: Turns): Steps<ObjectGraph> {
  const decoder = new Decoder(serialized);
  const checked = <T>(work: () => T) => inContext('The object graph is damaged', { path }, work);
  while (checked(() => decoder.readNodes(PIECE))) if (turns.due) yield turns.next();
  return checked(() => decoder.finish());
}

class Decoder {
  readonly #reader: WireReader;
  readonly #childStart = [0];
  readonly #childIds: number[] = [];
  readonly #childNames: string[] = [];
  readonly #attributeStart = [0];
  readonly #attributeNames: string[] = [];
  readonly #attributeFullNames: string[] = [];
  readonly #attributeKeys: string[] = [];
  readonly #slotStart = [0];
  readonly #slotVariables: number[] = [];
  readonly #slotNames: string[] = [];
  readonly #slotIds: number[] = [];
  readonly #savers = new Map<number, RegisteredSaver>();
  readonly #holds: number[] = [];
  readonly #fields: Fields;

  constructor(serialized: Uint8Array) {
    this.#reader = new WireReader(serialized);
    this.#fields = new Fields(serialized);
  }

  /** Reads nodes of `bytes` bytes or somewhat more; false once there are no more. */
  readNodes(bytes: number): boolean {
    const reader = this.#reader;
    const end = reader.position + bytes;
    while (reader.position < end && !reader.done) {
      const tag = reader.tag();
      if (tag !== 0x0a) {
        reader.skip(tag);
        continue;
      }
      const outer = reader.enter();
      this.#node(reader);
      reader.leave(outer);
    }
    return !reader.done;
  }

  finish(): ObjectGraph {
    const nodeCount = this.#holds.length;
    if (nodeCount === 0) throw dataLoss('it has no root');
    for (const ids of [this.#childIds, this.#slotVariables, this.#slotIds]) {
      for (let row = 0; row < ids.length; row++) {
        const id = ids[row]!;
        if (id < 0 || id >= nodeCount) throw dataLoss(`an edge leads to node ${id}, and there are ${nodeCount}`);
      }
    }
    return {
      nodeCount,
      childStart: this.#childStart,
      childIds: this.#childIds,
      childNames: this.#childNames,
      attributeStart: this.#attributeStart,
      attributeNames: this.#attributeNames,
      attributeFullNames: this.#attributeFullNames,
      attributeKeys: this.#attributeKeys,
      slotStart: this.#slotStart,
      slotVariables: this.#slotVariables,
      slotNames: this.#slotNames,
      slotIds: this.#slotIds,
      savers: this.#savers,
      holds: Uint8Array.from(this.#holds),
    };
  }

  #node(reader: WireReader): void {
    const fields = this.#fields;
    let holds: number = Holds.unknown;
    while (!reader.done) {
      const tag = reader.tag();
      switch (tag) {
        case NodeField.child:
          fields.read(reader);
          this.#childIds.push(fields.numbers[1]!);
          this.#childNames.push(fields.text(2));
          break;
        case NodeField.attribute:
          fields.read(reader);
          this.#attributeNames.push(fields.text(1));
          this.#attributeFullNames.push(fields.text(2));
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
          holds = fields.numbers[1] === 0 ? Holds.nothing : Holds.values;
          break;
        default:
          reader.skip(tag);
      }
    }
    this.#holds.push(holds);
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
