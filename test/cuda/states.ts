import { createHash } from 'node:crypto';
import { DeviceTensor } from '../../src/cuda/index.ts';
import type { DType } from '../../src/tensor/dtypes.ts';
import { elementSize } from '../../src/tensor/dtypes.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { elementCount } from '../../src/tensor/shape.ts';

/** Bytes that are different for every seed and place. */
export function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** A host tensor of any fixed-width dtype with pattern bytes; bool has zeros and ones. */
export function patternTensor<D extends DType>(dtype: D, shape: readonly number[], seed: number): HostTensor<D> {
  const bytes = pattern(elementCount(shape) * elementSize(dtype), seed);
  return new HostTensor({ dtype, shape, data: dtype === 'bool' ? bytes.map((byte) => byte & 1) : bytes.buffer });
}

/** Shapes that meet every way through the engine: nothing, less than a page, odd lengths, several chunks. */
export const SHAPES = [
  ['float32', []],
  ['float32', [0, 3]],
  ['int64', [5]],
  ['bfloat16', [1237]],
  ['uint8', [65_537]],
  ['float32', [700, 1100]],
  ['float64', [1_000_003]],
  ['bool', [4099]],
] as const satisfies readonly (readonly [DType, readonly number[]])[];

/** One device tensor for each of {@link SHAPES}, and what it holds. */
export async function deviceState(seed: number, device = 0) {
  const host: Record<string, HostTensor> = {};
  const tensors: Record<string, DeviceTensor> = {};
  for (const [i, [dtype, shape]] of SHAPES.entries()) {
    const name = `t${i}`;
    host[name] = patternTensor(dtype, shape, seed * 100 + i);
    tensors[name] = await DeviceTensor.fromHost(host[name], device);
  }
  return {
    host,
    tensors,
    free() {
      for (const tensor of Object.values(tensors)) tensor.free();
    },
  };
}

/** Fresh device tensors of the same structure, holding something else. */
export async function otherState(seed: number, device = 0) {
  return deviceState(seed + 1000, device);
}

/** Stands for bytes where tests compare them: the runner's own comparison takes minutes for megabytes. */
export function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Digests of what the tensors hold. */
export async function readAll(tensors: Record<string, DeviceTensor>): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const [name, tensor] of Object.entries(tensors)) digests[name] = digest((await tensor.toHost()).bytes);
  return digests;
}

export function digestsOf(host: Record<string, HostTensor>): Record<string, string> {
  return Object.fromEntries(Object.entries(host).map(([name, tensor]) => [name, digest(tensor.bytes)]));
}
