import { ExtentKind, type LoadProgram, NO_BUFFER } from '../native/contract.ts';
import type { MemoryRange } from '../tensor/memory.ts';
import type { DeviceMemory } from '../tensor/source.ts';
import { addressNumber, DeviceRows } from './device-rows.ts';

/** Bytes of staging memory a read uses where the caller doesn't say. */
export const DEFAULT_STAGING_BYTES = 256 * 2 ** 20;

/** Collects what is to be read, file by file, and makes one load program of it. */
export class LoadBuilder {
  readonly #paths: string[] = [];
  readonly #pathNumbers = new Map<string, number>();
  readonly #buffers: ArrayBufferLike[] = [];
  readonly #bufferNumbers = new Map<ArrayBufferLike, number>();
  readonly #file: number[] = [];
  readonly #fileOffset: number[] = [];
  readonly #bytes: number[] = [];
  readonly #kind: number[] = [];
  readonly #devices = new DeviceRows();
  readonly #buffer: number[] = [];
  readonly #target: number[] = [];
  readonly #tensor: number[] = [];
  readonly #expected: number[] = [];
  readonly #verify: number[] = [];
  readonly #keys: string[] = [];

  get tensorCount(): number {
    return this.#keys.length;
  }

  keyOf(tensor: number): string {
    return this.#keys[tensor] ?? '';
  }

  /** Starts a tensor; `expected` is its unmasked CRC-32C, or null not to sum it. */
  tensor(key: string, expected: number | null): void {
    this.#keys.push(key);
    this.#expected.push(expected ?? 0);
    this.#verify.push(expected === null ? 0 : 1);
  }

  /** Adds bytes of the tensor last started, in the order of its bytes. `into` null: they are only summed. */
  extent(
    path: string,
    fileOffset: number,
    bytes: number,
    into: MemoryRange | DeviceMemory | null,
    targetOffset = 0,
  ): void {
    this.#file.push(number(this.#pathNumbers, this.#paths, path));
    this.#fileOffset.push(fileOffset);
    this.#bytes.push(bytes);
    const onDevice = into !== null && 'kind' in into;
    this.#kind.push(onDevice ? ExtentKind.cudaDevice : ExtentKind.jsMemory);
    if (into === null) {
      this.#buffer.push(NO_BUFFER);
      this.#target.push(0);
    } else if (onDevice) {
      const key = this.keyOf(this.#keys.length - 1);
      this.#buffer.push(this.#devices.add(into, key));
      this.#target.push(addressNumber(into.pointer, 'device address', key) + targetOffset);
    } else {
      this.#buffer.push(number(this.#bufferNumbers, this.#buffers, into.buffer));
      this.#target.push(into.byteOffset + targetOffset);
    }
    this.#tensor.push(this.#keys.length - 1);
  }

  build(options: {
    threads?: number;
    stagingBytes?: number;
    progress?: boolean;
    keepGoing?: boolean;
    deviceChecksum?: boolean;
  }): LoadProgram {
    return {
      files: { paths: this.#paths },
      buffers: this.#buffers,
      ...this.#devices.fields(),
      extents: {
        kind: Uint8Array.from(this.#kind),
        file: Uint32Array.from(this.#file),
        fileOffset: Float64Array.from(this.#fileOffset),
        bytes: Float64Array.from(this.#bytes),
        buffer: Uint32Array.from(this.#buffer),
        target: Float64Array.from(this.#target),
        tensor: Uint32Array.from(this.#tensor),
      },
      tensors: {
        count: this.#keys.length,
        expected: Uint32Array.from(this.#expected),
        verify: Uint8Array.from(this.#verify),
      },
      options: {
        threads: options.threads ?? 0,
        stagingBytes: options.stagingBytes ?? DEFAULT_STAGING_BYTES,
        direct: true,
        progress: options.progress ?? false,
        keepGoing: options.keepGoing ?? false,
        deviceChecksum: options.deviceChecksum ?? false,
      },
    };
  }
}

function number<T>(numbers: Map<T, number>, list: T[], value: T): number {
  let found = numbers.get(value);
  if (found === undefined) {
    found = list.push(value) - 1;
    numbers.set(value, found);
  }
  return found;
}
