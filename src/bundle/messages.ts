/** BundleHeaderProto and BundleEntryProto (tensorflow/core/protobuf/tensor_bundle.proto); entries are read in entry-decoder.ts. */

import { CheckpointError } from '../errors.ts';
import { type DType, dtypeNumber } from '../tensor/dtypes.ts';
import { sameShape } from '../tensor/shape.ts';
import { dataLoss } from './damage.ts';
import { MAX_SHARDS } from './names.ts';
import type { TensorSlice } from './types.ts';
import { WireReader } from './wire-reader.ts';
import { WireWriter } from './wire-writer.ts';

/** The bundle version this package writes and reads; TensorFlow's kTensorBundleVersion. */
const BUNDLE_VERSION = 1;

/** An entry as it is stored. */
export interface StoredEntry {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly shard: number;
  readonly offset: number;
  readonly size: number;
  /** Unmasked. */
  readonly crc32c: number;
  /** Not empty: the tensor is stored in these parts, and shard, offset, size and crc32c mean nothing. */
  readonly slices: readonly TensorSlice[];
}

export function encodeHeader(shardCount: number): Uint8Array {
  const writer = new WireWriter(16);
  writer.byte(0x08);
  writer.varint(shardCount);
  // Endianness LITTLE is zero and so left out. Field 3: VersionDef { producer: 1 }.
  for (const byte of [0x1a, 0x02, 0x08, BUNDLE_VERSION]) writer.byte(byte);
  return writer.finish();
}

/** Number of shards; UNSUPPORTED for a big-endian bundle or one of a version that this package must not read. */
export function decodeHeader(bytes: Uint8Array): { readonly shardCount: number } {
  const reader = new WireReader(bytes);
  let shardCount = 0;
  let endianness = 0;
  let version = { producer: 0, minConsumer: 0, badConsumers: [] as number[] };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x08) shardCount = reader.int32();
    else if (tag === 0x10) endianness = reader.int32();
    else if (tag === 0x1a) version = decodeVersion(reader.message());
    else reader.skip(tag);
  }
  if (endianness !== 0) {
    throw new CheckpointError('UNSUPPORTED', 'the checkpoint is big-endian; only little-endian ones can be read');
  }
  const { producer, minConsumer, badConsumers } = version;
  if (producer < 0) throw new CheckpointError('UNSUPPORTED', `the bundle version ${producer} is not known`);
  if (minConsumer > BUNDLE_VERSION || badConsumers.includes(BUNDLE_VERSION)) {
    throw new CheckpointError(
      'UNSUPPORTED',
      `the bundle (version ${producer}) excludes readers of version ${BUNDLE_VERSION}; a newer tensor-checkpoint may read it`,
    );
  }
  if (shardCount < 0 || shardCount > MAX_SHARDS) throw dataLoss(`the header counts ${shardCount} shards`);
  return { shardCount };
}

function decodeVersion(reader: WireReader): { producer: number; minConsumer: number; badConsumers: number[] } {
  let producer = 0;
  let minConsumer = 0;
  const badConsumers: number[] = [];
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x08) producer = reader.int32();
    else if (tag === 0x10) minConsumer = reader.int32();
    else if (tag === 0x18) badConsumers.push(reader.int32());
    else if (tag === 0x1a) {
      // proto3 packs repeated numbers; parsers take both forms.
      for (const packed = reader.message(); !packed.done; ) badConsumers.push(packed.int32());
    } else reader.skip(tag);
  }
  return { producer, minConsumer, badConsumers };
}

/** A tensor's entry, but for its checksum. */
export interface EntryFields {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly shard: number;
  readonly offset: number;
  readonly size: number;
}

/**
 * Appends an entry. The checksum comes last and is always present, so that its position is known before its value: a
 * masked checksum of exactly zero, which proto3 would leave out, is a legal fixed32 to every reader.
 */
export function encodeEntry(writer: WireWriter, entry: EntryFields, maskedCrc: number): void {
  new EntryEncoder().encode(writer, entry, maskedCrc);
}

/** {@link encodeEntry} for many: what a dtype and a shape are encoded to is kept for the next, which often has the same. */
export class EntryEncoder {
  readonly #head = new WireWriter(64);
  #dtype: DType | undefined;
  #shape: readonly number[] = [];

  encode(writer: WireWriter, { dtype, shape, shard, offset, size }: EntryFields, maskedCrc: number): void {
    if (dtype !== this.#dtype || !sameShape(shape, this.#shape)) {
      this.#dtype = dtype;
      this.#shape = shape;
      this.#head.clear();
      this.#head.numberField(0x08, dtypeNumber(dtype));
      encodeShape(this.#head, shape);
    }
    writer.appendWritten(this.#head);
    writer.numberField(0x18, shard);
    writer.numberField(0x20, offset);
    writer.numberField(0x28, size);
    writer.byte(0x35);
    writer.fixed32(maskedCrc);
  }
}

/** Appends field 2 of an entry, the shape. */
export function encodeShape(writer: WireWriter, shape: readonly number[]): void {
  writer.byte(0x12);
  const start = writer.open();
  for (const dimension of shape) {
    writer.byte(0x12);
    const size = writer.open();
    writer.numberField(0x08, dimension);
    writer.close(size);
  }
  writer.close(start);
}
