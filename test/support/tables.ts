import { maskCrc } from '../../src/bundle/crc.ts';
import { forEachEntry, openTable, readBlock } from '../../src/bundle/table-reader.ts';
import { TableWriter, type UnsealedTable } from '../../src/bundle/table-writer.ts';
import { crc32c } from '../../src/native/engine.ts';

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
  for (const [key, value] of entries) writer.add(key, value);
  return seal(writer.finish());
}

export function readTable(file: Uint8Array): TableEntry[] {
  const entries: TableEntry[] = [];
  for (const { handle } of openTable(file, true)) {
    forEachEntry(readBlock(file, handle), (key, value) => entries.push([key, value.slice()]));
  }
  return entries;
}
