/**
 * BundleHeaderProto and BundleEntryProto (tensorflow/core/protobuf/tensor_bundle.proto), read. Entries are in entry-decoder.ts;
 * both are written by native/format/bundle_index.cc.
 */

import { CheckpointError } from '../errors.ts';
import type { DType } from '../tensor/dtypes.ts';
import { dataLoss } from './damage.ts';
import { MAX_SHARDS } from './names.ts';
import type { TensorSlice } from './types.ts';
import { WireReader } from './wire-reader.ts';

/** The bundle version this package reads, and writes; TensorFlow's kTensorBundleVersion. */
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
