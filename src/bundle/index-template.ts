import { type DType, elementSize } from '../tensor/dtypes.ts';
import { elementCount } from '../tensor/shape.ts';
import { maskCrc } from './crc.ts';
import { type Layout, layOut, type ShardRequest } from './layout.ts';
import { encodeEntry, encodeHeader } from './messages.ts';
import { compareBytes } from './table-format.ts';
import { TableWriter } from './table-writer.ts';
import { WireWriter } from './wire.ts';

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

export function buildIndexTemplate(structure: Structure, request: ShardRequest): IndexTemplate {
  const { keys, dtypes, shapes, sizes } = structure;
  const elementSizes = Uint8Array.from(dtypes, elementSize);
  const layout = layOut({ sizes, elementSizes }, request);

  const tensorOf = new Uint32Array(keys.length);
  layout.order.forEach((entry, tensor) => {
    tensorOf[entry] = tensor;
  });

  const table = new TableWriter();
  table.add(new Uint8Array(0), encodeHeader(layout.shardCount));
  const checksumAt = new Float64Array(keys.length);
  const value = new WireWriter(256);
  const noChecksum = maskCrc(0);
  for (let entry = 0; entry < keys.length; entry++) {
    const tensor = tensorOf[entry]!;
    value.clear();
    encodeEntry(
      value,
      {
        dtype: dtypes[entry]!,
        shape: shapes[entry]!,
        shard: layout.shard[tensor]!,
        offset: layout.offset[tensor]!,
        size: sizes[entry]!,
      },
      noChecksum,
    );
    const at = table.add(Buffer.from(keys[entry]!), value.view());
    // The checksum is an entry's last field.
    checksumAt[tensor] = at + value.length - 4;
  }
  const { bytes, seals } = table.finish();
  return { layout, bytes, checksumAt, seals };
}

/** The order of `keys` by their UTF-8 bytes, as positions. */
export function sortedByBytes(keys: readonly string[]): Uint32Array {
  const order = Uint32Array.from({ length: keys.length }, (_, i) => i);
  let sorted = true;
  let plain = true;
  for (let i = 0; i < keys.length; i++) {
    if (i > 0 && keys[i - 1]! >= keys[i]!) sorted = false;
    // From U+D800 on, UTF-16 code units sort otherwise than UTF-8 bytes.
    if (plain && /[\ud800-\uffff]/.test(keys[i]!)) plain = false;
  }
  if (!plain) {
    const bytes = keys.map((key) => Buffer.from(key));
    return order.sort((a, b) => compareBytes(bytes[a]!, bytes[b]!));
  }
  if (sorted) return order;
  return order.sort((a, b) => (keys[a]! < keys[b]! ? -1 : keys[a]! > keys[b]! ? 1 : 0));
}

/** Bytes of a fixed-width tensor. */
export function fixedByteLength(dtype: DType, shape: readonly number[]): number {
  return elementCount(shape) * elementSize(dtype);
}
