import { type DType, dtypeNumber } from '../../src/tensor/dtypes.ts';
import { MessageWriter } from './message-writer.ts';

/** A BundleHeaderProto. */
export function encodeHeader(shardCount: number): Uint8Array {
  const writer = new MessageWriter(16);
  writer.numberField(0x08, shardCount);
  // Endianness LITTLE is zero and so left out. Field 3: VersionDef { producer: 1 }.
  for (const byte of [0x1a, 0x02, 0x08, 0x01]) writer.byte(byte);
  return writer.view();
}

/** A tensor's entry, but for its checksum. */
export interface EntryFields {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly shard: number;
  readonly offset: number;
  readonly size: number;
}

/** Appends a BundleEntryProto, whose checksum comes last and is always present. */
export function encodeEntry(
  writer: MessageWriter,
  { dtype, shape, shard, offset, size }: EntryFields,
  maskedCrc: number,
): void {
  writer.numberField(0x08, dtypeNumber(dtype));
  encodeShape(writer, shape);
  writer.numberField(0x18, shard);
  writer.numberField(0x20, offset);
  writer.numberField(0x28, size);
  writer.byte(0x35);
  writer.fixed32(maskedCrc);
}

/** Appends field 2 of an entry, the shape. */
export function encodeShape(writer: MessageWriter, shape: readonly number[]): void {
  writer.message(0x12, (dims) => {
    for (const dimension of shape) dims.message(0x12, (size) => size.numberField(0x08, dimension));
  });
}
