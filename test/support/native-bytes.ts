import type { NativeBytes } from '../../src/native/contract.ts';

let lastAddress = 0;

/** Bytes as if native held them, at an address of their own. */
export function held(bytes: Uint8Array): NativeBytes {
  lastAddress += 2 ** 32;
  return { address: lastAddress, byteLength: bytes.byteLength, copy: () => contentOf(bytes).buffer };
}

/** A copy of bytes, wherever they are. */
export function contentOf(bytes: Uint8Array | NativeBytes): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes instanceof Uint8Array ? bytes : bytes.copy());
}
