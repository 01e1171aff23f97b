/** BundleHeaderProto and BundleEntryProto (tensorflow/core/protobuf/tensor_bundle.proto), read and written. */

import { CheckpointError } from '../errors.ts';
import { type DType, dtypeFromNumber, dtypeNumber, elementSize } from '../tensor/dtypes.ts';
import { describeShape, elementCount, sameShape, shapeProblem } from '../tensor/shape.ts';
import { unmaskCrc } from './crc.ts';
import { dataLoss } from './damage.ts';
import { MAX_SHARDS } from './names.ts';
import type { TensorSlice } from './types.ts';
import { WireReader, WireWriter } from './wire.ts';

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

/** Reads an entry and checks all that can be checked without the files. */
export function decodeEntry(bytes: Uint8Array, shardCount: number): StoredEntry {
  const reader = new WireReader(bytes);
  let number = 0;
  let shape: number[] = [];
  let shard = 0;
  let offset = 0;
  let size = 0;
  let masked = 0;
  let hasChecksum = false;
  const slices: TensorSlice[] = [];
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x08) number = reader.int32();
    else if (tag === 0x12) shape = decodeShape(reader.message());
    else if (tag === 0x18) shard = reader.int32();
    else if (tag === 0x20) offset = reader.int64();
    else if (tag === 0x28) size = reader.int64();
    else if (tag === 0x35) {
      masked = reader.fixed32();
      hasChecksum = true;
    } else if (tag === 0x3a) slices.push(decodeSlice(reader.message()));
    else reader.skip(tag);
  }
  const dtype = dtypeFromNumber(number);
  if (dtype === undefined) {
    throw new CheckpointError('UNSUPPORTED', `tensors of TensorFlow's DataType ${number} can't be read`);
  }
  const elementBytes = elementSize(dtype);
  const problem = shapeProblem(shape, elementBytes);
  if (problem !== null) throw dataLoss(problem);
  if (slices.length > 0) {
    for (const slice of slices) checkStoredSlice(slice, shape);
    // The shard means nothing here; TensorFlow's MergeV2Checkpoints sets it all the same.
    return { dtype, shape: Object.freeze(shape), shard, offset: 0, size: 0, crc32c: 0, slices };
  }
  if (shard < 0 || shard >= shardCount) throw dataLoss(`the entry names shard ${shard} of ${shardCount}`);
  if (offset < 0 || size < 0 || !Number.isSafeInteger(offset + size)) {
    throw dataLoss(`the entry names bytes ${offset} to ${offset + size}`);
  }
  if (elementBytes > 0 && size !== elementCount(shape) * elementBytes) {
    throw dataLoss(`${dtype} of shape ${describeShape(shape)} can't have ${size} bytes`);
  }
  // Left out, it is zero to a proto3 reader.
  const crc32c = unmaskCrc(hasChecksum ? masked : 0);
  return { dtype, shape: Object.freeze(shape), shard, offset, size, crc32c, slices };
}

function decodeShape(reader: WireReader): number[] {
  const shape: number[] = [];
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x12) {
      let size = 0;
      for (const dimension = reader.message(); !dimension.done; ) {
        const inner = dimension.tag();
        if (inner === 0x08) size = dimension.int64();
        else dimension.skip(inner);
      }
      shape.push(size);
    } else if (tag === 0x18) {
      if (reader.varint() !== 0) throw dataLoss('the shape has no known rank');
    } else reader.skip(tag);
  }
  return shape;
}

function decodeSlice(reader: WireReader): TensorSlice {
  const extents: Array<[number, number] | null> = [];
  while (!reader.done) {
    const tag = reader.tag();
    if (tag !== 0x0a) {
      reader.skip(tag);
      continue;
    }
    let start = 0;
    let length: number | null = null;
    for (const extent = reader.message(); !extent.done; ) {
      const inner = extent.tag();
      if (inner === 0x08) start = extent.int64();
      else if (inner === 0x10) length = extent.int64();
      else extent.skip(inner);
    }
    if (length === null && start !== 0) throw dataLoss('a slice has a start and no length');
    extents.push(length === null ? null : [start, length]);
  }
  return extents;
}

function checkStoredSlice(slice: TensorSlice, shape: readonly number[]): void {
  if (slice.length !== shape.length) {
    throw dataLoss(`a slice of ${slice.length} dimensions in a tensor of shape ${describeShape(shape)}`);
  }
  for (let d = 0; d < shape.length; d++) {
    const extent = slice[d];
    if (extent === null || extent === undefined) continue;
    const [start, length] = extent;
    if (start < 0 || length < 0 || start + length > shape[d]!) {
      throw dataLoss(`a slice [${start}, +${length}] lies outside dimension ${d} of shape ${describeShape(shape)}`);
    }
  }
}
