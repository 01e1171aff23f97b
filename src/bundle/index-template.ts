import { inTurns, type Steps, type Turns } from '../steps.ts';
import { type DType, elementSize } from '../tensor/dtypes.ts';
import { elementCount } from '../tensor/shape.ts';
import { maskCrc } from './crc.ts';
import { type Layout, layOut, type ShardRequest } from './layout.ts';
import { EntryEncoder, encodeHeader } from './messages.ts';
import { sortedNumbers, sortsAsBytes } from './sort.ts';
import { compareBytes } from './table-format.ts';
import { TableWriter } from './table-writer.ts';
import type { WireWriter } from './wire-writer.ts';

/** The structure of a checkpoint: what layout and index depend on, and nothing else. Keys are sorted bytewise. */
export interface Structure {
  readonly keys: readonly string[];
  readonly dtypes: readonly DType[];
  readonly shapes: ReadonlyArray<readonly number[]>;
  readonly sizes: Float64Array;
}

/**
 * The index file of a structure, complete but for checksums, and where each one goes. Built once and used by every
 * save of the same structure. Tensors are numbered in the order of shard and offset.
 */
export interface IndexTemplate {
  readonly layout: Layout;
  readonly bytes: Uint8Array;
  /** Per tensor (in layout order): where its masked CRC-32C lies. */
  readonly checksumAt: Float64Array;
  readonly seals: { readonly start: Float64Array; readonly length: Float64Array; readonly position: Float64Array };
}

/** What an entry takes in an index beside its key, about. Bytes. */
const ENTRY_BYTES = 32;

export function* buildIndexTemplate(structure: Structure, request: ShardRequest, turns: Turns): Steps<IndexTemplate> {
  const { keys, dtypes, shapes, sizes } = structure;
  const count = keys.length;
  const elementSizes = new Uint8Array(count);
  const tensorOf = new Uint32Array(count);
  let capacity = 4096;
  yield* inTurns(turns, count, (first, end) => {
    for (let entry = first; entry < end; entry++) {
      elementSizes[entry] = elementSize(dtypes[entry]!);
      capacity += keys[entry]!.length + ENTRY_BYTES;
    }
  });
  const layout = yield* layOut({ sizes, elementSizes }, request, turns);
  yield* inTurns(turns, count, (first, end) => {
    for (let tensor = first; tensor < end; tensor++) tensorOf[layout.order[tensor]!] = tensor;
  });

  const table = new TableWriter(capacity);
  const checksumAt = new Float64Array(count);
  const encoder = new EntryEncoder();
  const noChecksum = maskCrc(0);
  table.add('', (value) => value.append(encodeHeader(layout.shardCount)));
  let entry = 0;
  const encode = (value: WireWriter): void => {
    const tensor = tensorOf[entry]!;
    const fields = {
      dtype: dtypes[entry]!,
      shape: shapes[entry]!,
      shard: layout.shard[tensor]!,
      offset: layout.offset[tensor]!,
      size: sizes[entry]!,
    };
    encoder.encode(value, fields, noChecksum);
  };
  yield* inTurns(turns, count, (first, end) => {
    for (entry = first; entry < end; entry++) {
      // The checksum is an entry's last field.
      checksumAt[tensorOf[entry]!] = table.add(keys[entry]!, encode) - 4;
    }
  });
  const { bytes, seals } = table.finish();
  return { layout, bytes, checksumAt, seals };
}

/** The order of `keys` by their UTF-8 bytes, as positions. */
export function* sortedByBytes(keys: readonly string[], turns: Turns): Steps<Uint32Array> {
  const count = keys.length;
  let plain = true;
  yield* inTurns(turns, count, (first, end) => {
    for (let i = first; plain && i < end; i++) plain = sortsAsBytes(keys[i]!);
  });
  if (plain) return yield* sortedNumbers(count, (a, b) => compareText(keys[a]!, keys[b]!), turns);
  const bytes = new Array<Buffer>(count);
  yield* inTurns(turns, count, (first, end) => {
    for (let i = first; i < end; i++) bytes[i] = Buffer.from(keys[i]!);
  });
  return yield* sortedNumbers(count, (a, b) => compareBytes(bytes[a]!, bytes[b]!), turns);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Bytes of a fixed-width tensor. */
export function fixedByteLength(dtype: DType, shape: readonly number[]): number {
  return elementCount(shape) * elementSize(dtype);
}
