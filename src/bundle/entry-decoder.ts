import { CheckpointError } from '../errors.ts';
import { type DType, dtypeFromNumber, elementSize } from '../tensor/dtypes.ts';
import { describeShape, elementCount, shapeProblem } from '../tensor/shape.ts';
import { unmaskCrc } from './crc.ts';
import { dataLoss } from './damage.ts';
import type { StoredEntry } from './messages.ts';
import type { TensorSlice } from './types.ts';
import { WireReader } from './wire-reader.ts';

/** Reads an entry and checks all that can be checked without the files. */
export function decodeEntry(bytes: Uint8Array, shardCount: number): StoredEntry {
  const decoder = new EntryDecoder();
  decoder.decode(bytes, 0, bytes.length, shardCount);
  const { dtype, shape, shard, offset, size, crc32c, slices } = decoder;
  return { dtype, shape, shard, offset, size, crc32c, slices };
}

const NO_SLICES: readonly TensorSlice[] = [];

/** {@link decodeEntry} for many: its fields are those of the entry decoded last. */
export class EntryDecoder implements StoredEntry {
  dtype: DType = 'float32';
  shape: readonly number[] = [];
  shard = 0;
  offset = 0;
  size = 0;
  crc32c = 0;
  slices: readonly TensorSlice[] = NO_SLICES;
  /** The shape decoded last and its bytes: the next entry often has the same. */
  #shapeBytes: Uint8Array = new Uint8Array(0);
  #knownShape: readonly number[] = Object.freeze([]);
  /** What an element of a dtype and shape that were found to be right takes. */
  #checkedShape: readonly number[] | undefined;
  #checkedElement = 0;

  decode(bytes: Uint8Array, start: number, end: number, shardCount: number): void {
    const reader = new WireReader(bytes, start, end);
    let number = 0;
    let masked = 0;
    let hasChecksum = false;
    this.shape = NO_DIMENSIONS;
    this.shard = 0;
    this.offset = 0;
    this.size = 0;
    this.slices = NO_SLICES;
    while (!reader.done) {
      const tag = reader.tag();
      if (tag === 0x08) number = reader.int32();
      else if (tag === 0x12) this.#readShape(reader);
      else if (tag === 0x18) this.shard = reader.int32();
      else if (tag === 0x20) this.offset = reader.int64();
      else if (tag === 0x28) this.size = reader.int64();
      else if (tag === 0x35) {
        masked = reader.fixed32();
        hasChecksum = true;
      } else if (tag === 0x3a) this.slices = [...this.slices, decodeSlice(reader.message())];
      else reader.skip(tag);
    }
    const dtype = dtypeFromNumber(number);
    if (dtype === undefined) {
      throw new CheckpointError('UNSUPPORTED', `tensors of TensorFlow's DataType ${number} can't be read`);
    }
    this.dtype = dtype;
    this.#check(shardCount);
    // Left out, it is zero to a proto3 reader.
    this.crc32c = this.slices.length > 0 ? 0 : unmaskCrc(hasChecksum ? masked : 0);
  }

  #readShape(reader: WireReader): void {
    const outer = reader.enter();
    const { bytes, position, end } = reader;
    if (!sameBytes(this.#shapeBytes, bytes, position, end)) {
      this.#knownShape = Object.freeze(decodeShape(reader));
      this.#shapeBytes = bytes.slice(position, end);
    }
    this.shape = this.#knownShape;
    reader.leave(outer);
  }

  #check(shardCount: number): void {
    const { dtype, shape, slices } = this;
    const elementBytes = elementSize(dtype);
    if (shape !== this.#checkedShape || elementBytes !== this.#checkedElement) {
      const problem = shapeProblem(shape, elementBytes);
      if (problem !== null) throw dataLoss(problem);
      this.#checkedShape = shape;
      this.#checkedElement = elementBytes;
    }
    if (slices.length > 0) {
      for (const slice of slices) checkStoredSlice(slice, shape);
      // The shard means nothing here; TensorFlow's MergeV2Checkpoints sets it all the same.
      this.offset = 0;
      this.size = 0;
      return;
    }
    const { shard, offset, size } = this;
    if (shard < 0 || shard >= shardCount) throw dataLoss(`the entry names shard ${shard} of ${shardCount}`);
    if (offset < 0 || size < 0 || !Number.isSafeInteger(offset + size)) {
      throw dataLoss(`the entry names bytes ${offset} to ${offset + size}`);
    }
    if (elementBytes > 0 && size !== elementCount(shape) * elementBytes) {
      throw dataLoss(`${dtype} of shape ${describeShape(shape)} can't have ${size} bytes`);
    }
  }
}

/** A scalar's shape may be left out. */
const NO_DIMENSIONS: readonly number[] = Object.freeze([]);

function sameBytes(kept: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (kept.length !== end - start) return false;
  for (let i = 0; i < kept.length; i++) if (kept[i] !== bytes[start + i]) return false;
  return true;
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
