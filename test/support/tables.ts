import { maskCrc } from '../../src/bundle/crc.ts';
import { forEachEntry, openTable, readBlock } from '../../src/bundle/table-reader.ts';
import type { TensorSlice } from '../../src/bundle/types.ts';
import { crc32c } from '../../src/native/engine.ts';
import { type DType, dtypeNumber } from '../../src/tensor/dtypes.ts';
import { MessageWriter } from './message-writer.ts';
import { encodeShape } from './messages.ts';
import { TableWriter, type UnsealedTable } from './table-writer.ts';

/** What native does to an index before it is written, in JS. */
export function seal({ bytes, seals }: UnsealedTable): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  seals.start.forEach((start, i) => {
    const crc = crc32c(bytes.subarray(start, start + seals.length[i]!));
    view.setUint32(seals.position[i]!, maskCrc(crc), true);
  });
  return bytes;
}

export type TableEntry = readonly [key: Uint8Array, value: Uint8Array];

export function writeTable(entries: Iterable<TableEntry>): Uint8Array {
  const writer = new TableWriter();
  for (const [key, bytes] of entries) writer.add(key, (value) => value.append(bytes));
  return seal(writer.finish());
}

export function readTable(file: Uint8Array): TableEntry[] {
  const entries: TableEntry[] = [];
  for (const { handle } of openTable(file, true)) {
    forEachEntry(readBlock(file, handle), (key, value) => entries.push([key, value.slice()]));
  }
  return entries;
}

/** Appends the entry of a tensor that is stored in slices; this package itself stores tensors whole. */
export function encodeSlicedEntry(
  writer: MessageWriter,
  entry: { dtype: DType; shape: readonly number[]; shard: number; slices: readonly TensorSlice[] },
): void {
  writer.byte(0x08);
  writer.varint(dtypeNumber(entry.dtype));
  encodeShape(writer, entry.shape);
  if (entry.shard !== 0) {
    writer.byte(0x18);
    writer.varint(entry.shard);
  }
  for (const slice of entry.slices) {
    const message = new MessageWriter();
    for (const extent of slice) {
      const inner = new MessageWriter(24);
      if (extent !== null) {
        if (extent[0] !== 0) {
          inner.byte(0x08);
          inner.varint(extent[0]);
        }
        inner.byte(0x10);
        inner.varint(extent[1]);
      }
      message.byte(0x0a);
      message.varint(inner.length);
      message.append(inner.view());
    }
    writer.byte(0x3a);
    writer.varint(message.length);
    writer.append(message.view());
  }
}
