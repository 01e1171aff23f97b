import type { MemoryRange } from './memory.ts';

/** Where the bytes of a tensor that is to be saved are. What a source is made of, native never has to ask. */
export type TensorSource =
  /** Memory that JS can write. Little-endian, row-major, exactly the tensor's bytes. */
  | { readonly kind: 'memory'; readonly bytes: MemoryRange }
  /** Elements of a string tensor, row-major. They are copied when the save is planned. */
  | { readonly kind: 'strings'; readonly elements: readonly Uint8Array[] }
  /** Host memory at an absolute address, immutable until the save's snapshot is released. */
  | { readonly kind: 'address'; readonly address: number; readonly byteLength: number }
  | DeviceMemory;

/** Memory of a CUDA device: a source, and a destination too. */
export interface DeviceMemory {
  readonly kind: 'device';
  /** Device address. */
  readonly pointer: bigint | number;
  /** Ordinal of the device. */
  readonly device: number;
  readonly byteLength: number;
  /**
   * Handle of the stream on which the memory was last used: it is waited for by an event. 0: the legacy default stream.
   * Without it the device's context is synchronized once.
   */
  readonly stream?: bigint | number;
  /** What the memory belongs to: kept alive until nothing reads or writes it any more. */
  readonly owner?: object;
}
