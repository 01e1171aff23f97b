import { describeValue, invalidArgument } from '../errors.ts';
import { describePointer } from '../native/cuda.ts';

/** Addresses and handles beyond this don't exist in user space, and could not be passed on. */
const MAX_ADDRESS = 2n ** 53n;

export function checkDevice(device: unknown, what: string): number {
  if (typeof device === 'number' && Number.isInteger(device) && device >= 0 && device <= 0xffff) return device;
  throw invalidArgument(
    `${what}: device must be the ordinal of a CUDA device, 0 or more, not ${describeValue(device)}.`,
  );
}

export function checkStream(stream: unknown, what: string): bigint | undefined {
  if (stream === undefined || (typeof stream === 'bigint' && stream >= 0n && stream < MAX_ADDRESS)) return stream;
  throw invalidArgument(`${what}: stream must be the handle of a CUDA stream, a bigint, not ${describeValue(stream)}.`);
}

/**
 * Asks the driver whether `byteLength` bytes of device memory are at `pointer`.
 *
 * @param device the device they must be on; undefined: any
 * @returns the device they are on
 */
export function checkPointer(pointer: unknown, byteLength: number, device: number | undefined, what: string): number {
  const wanted = device === undefined ? undefined : checkDevice(device, what);
  if (typeof pointer !== 'bigint' || pointer < 0n || pointer >= MAX_ADDRESS) {
    throw invalidArgument(`${what}: pointer must be a device address, a bigint, not ${describeValue(pointer)}.`);
  }
  // An empty tensor has no memory; its pointer may be anything.
  if (byteLength === 0) return wanted ?? 0;
  const address = `0x${pointer.toString(16)}`;
  const found = describePointer(pointer, byteLength);
  if (found.kind === 'unknown') {
    throw invalidArgument(`${what}: ${address} is not memory that the CUDA driver knows. Was it freed?`);
  }
  if (found.kind === 'host') {
    throw invalidArgument(`${what}: ${address} is host memory, not a device's. Use a HostTensor for it.`);
  }
  if (wanted !== undefined && found.device !== wanted) {
    throw invalidArgument(`${what}: ${address} is memory of device ${found.device}, not of device ${wanted}.`);
  }
  if (found.bytes < byteLength) {
    throw invalidArgument(
      `${what}: only ${found.bytes} bytes are allocated at ${address}, the tensor has ${byteLength}.`,
    );
  }
  return found.device;
}
