/** What writer and reader of the index file share: LevelDB's table format as TensorFlow's bundle uses it. */

export const FOOTER_BYTES = 48;
/** 0xDB4775248B80FB57, little-endian. */
export const MAGIC = Uint8Array.of(0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb);
/** Behind every block: compression type, masked CRC-32C of contents and type. */
export const TRAILER_BYTES = 5;
export const Compression = { none: 0, snappy: 1 } as const;

/** Where a block lies; `size` is without the trailer. */
export interface BlockHandle {
  readonly offset: number;
  readonly size: number;
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
