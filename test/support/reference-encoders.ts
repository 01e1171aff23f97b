import { maskCrc } from '../../src/bundle/crc.ts';
import { childPath, slotPath } from '../../src/checkpoint/keys.ts';
import { Holds } from '../../src/checkpoint/object-graph.ts';
import { type Texts, textsOf } from '../../src/checkpoint/texts.ts';
import type {
  EncodedGraph,
  EncodedIndex,
  Encoder,
  EncoderAddon,
  GraphColumns,
  IndexColumns,
  PathColumns,
  SortedTexts,
  TextColumn,
} from '../../src/native/contract.ts';
import { dtypeFromNumber } from '../../src/tensor/dtypes.ts';
import { crc32c } from './crc.ts';
import { encodeGraph } from './graph-writer.ts';
import { MessageWriter } from './message-writer.ts';
import { encodeEntry, encodeHeader } from './messages.ts';
import { held } from './native-bytes.ts';
import { TableWriter } from './table-writer.ts';

/** Native's encoders in plain JavaScript, all in one piece. */
export const referenceEncoders: EncoderAddon = {
  encodeTexts: (strings) => atOnce(() => columnOf(strings)),
  sortTexts: (texts) => atOnce(() => sorted(texts)),
  encodeKeys: (columns) => atOnce(() => columnOf(keysOf(columns))),
  encodeIndex: (columns) => atOnce(() => index(columns)),
  encodeGraph: (columns) => atOnce(() => graph(columns)),
};

function atOnce<T>(finish: () => T): Encoder<T> {
  return { write: () => false, finish };
}

export function columnOf(strings: readonly string[]): TextColumn {
  const texts = strings.map((text) => Buffer.from(text));
  const start = new Uint32Array(texts.length + 1);
  texts.forEach((text, row) => {
    start[row + 1] = start[row]! + text.length;
  });
  return { text: new Uint8Array(Buffer.concat(texts)), start };
}

/** The rows of a column as strings. */
export function stringsOf({ text, start }: TextColumn): string[] {
  return Array.from({ length: start.length - 1 }, (_, row) =>
    Buffer.from(text.subarray(start[row], start[row + 1])).toString(),
  );
}

function texts(column: TextColumn): Texts {
  return textsOf(stringsOf(column));
}

function sorted({ text, start }: TextColumn): SortedTexts {
  const row = (i: number) => text.subarray(start[i], start[i + 1]);
  const compare = (a: number, b: number) => Buffer.compare(row(a), row(b));
  const rows = Uint32Array.from({ length: start.length - 1 }, (_, i) => i).sort(compare);
  const repeated = rows.find((a, i) => i > 0 && compare(a, rows[i - 1]!) === 0);
  return { rows, repeated: repeated ?? null };
}

function keysOf({ above, name, slotVariables, valueStart, attributes, ...columns }: PathColumns): string[] {
  const [edges, slots, suffixes] = [columns.edgeNames, columns.slotNames, columns.suffixes].map(stringsOf);
  const paths = [''];
  for (let id = 1; id < above.length; id++) {
    const [before, row] = [above[id]!, name[id]!];
    if (before >= 0) paths.push(childPath(paths[before]!, edges![row]!));
    else paths.push(slotPath(paths[slotVariables[row]!]!, paths[-1 - before]!, slots![row]!));
  }
  const keys: string[] = [];
  paths.forEach((path, id) => {
    for (let row = valueStart[id]!; row < valueStart[id + 1]!; row++) keys.push(path + suffixes![attributes[row]!]!);
  });
  return [...keys, ...stringsOf(columns.others)];
}

function index(columns: IndexColumns): EncodedIndex {
  const { order, tensor, dtype, dims, dimEnd, size, shard, offset } = columns;
  const keys = stringsOf(columns.keys);
  const table = new TableWriter();
  const checksumAt = new Float64Array(order.length);
  table.add('', (value) => value.append(encodeHeader(columns.shards)));
  for (let entry = 0; entry < order.length; entry++) {
    const number = tensor[entry]!;
    const fields = {
      dtype: dtypeFromNumber(dtype[entry]!)!,
      shape: [...dims.subarray(dimEnd[entry - 1] ?? 0, dimEnd[entry])],
      shard: shard[number]!,
      offset: offset[number]!,
      size: size[entry]!,
    };
    checksumAt[number] = table.add(keys[order[entry]!]!, (value) => encodeEntry(value, fields, 0)) - 4;
  }
  const { bytes, seals } = table.finish();
  return { bytes: held(bytes), seals, checksumAt };
}

/** A string tensor of one element, of less than 4 GiB. */
function stored(element: Uint8Array): EncodedGraph {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(element.length);
  const ofLength = crc32c(length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(maskCrc(ofLength));
  const head = new MessageWriter(16);
  head.varint(element.length);
  const bytes = Buffer.concat([head.view(), sum, element]);
  return { bytes: held(bytes), checksum: crc32c(element, crc32c(sum, ofLength)) };
}

function graph(columns: GraphColumns): EncodedGraph {
  const { childStart, valueStart, slotStart } = columns;
  const nodeCount = childStart.length - 1;
  const holds = new Uint8Array(nodeCount);
  for (let changed = true; changed; ) {
    changed = false;
    for (let id = 0; id < nodeCount; id++) {
      const children = columns.childIds.subarray(childStart[id], childStart[id + 1]);
      const own = valueStart[id] !== valueStart[id + 1] || slotStart[id] !== slotStart[id + 1];
      if (holds[id] === Holds.values || !(own || children.some((child) => holds[child] === Holds.values))) continue;
      holds[id] = Holds.values;
      changed = true;
    }
  }
  const names = { childNames: texts(columns.childNames), slotNames: texts(columns.slotNames) };
  const values = { attributeStart: valueStart, attributeKeys: texts(columns.keys) };
  const attributeNames = stringsOf(columns.attributeNames);
  const serialized = encodeGraph({
    ...columns,
    ...names,
    ...values,
    attributeNames,
    nodeCount,
    savers: new Map(),
    holds,
  });
  return stored(serialized);
}
