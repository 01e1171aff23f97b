import type { MemoryRange } from './memory.ts';

/** Where the bytes of a tensor that is to be saved are. What a source is made of, native never has to ask. */
export type TensorSource =
  /** Memory that JS can write. Little-endian, row-major, exactly the tensor's bytes. */
  | { readonly kind: 'memory'; readonly bytes: MemoryRange }
  /** Elements of a string tensor, row-major. They are copied when the save is planned. */
  | { readonly kind: 'strings'; readonly elements: readonly Uint8Array[] }
  /** Host memory at an absolute address, immutable until the save's snapshot is released. */
  | { readonly kind: 'address'; readonly address: number; readonly byteLength: number };
