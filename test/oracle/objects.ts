import { Counter } from '../../src/checkpoint/counter.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import type { ObjectKind } from './steps.ts';

/** What the scenarios put into a Checkpoint. */
export type Value = Counter | HostTensor;

/** A new object of each kind, all zeros. */
export const make: Record<ObjectKind, () => Value> = {
  counter: () => new Counter(0),
  float2: () => new HostTensor({ dtype: 'float32', shape: [2], data: new Float32Array(2) }),
  float3: () => new HostTensor({ dtype: 'float32', shape: [3], data: new Float32Array(3) }),
  int2: () => new HostTensor({ dtype: 'int32', shape: [2], data: new Int32Array(2) }),
};

export function assign(object: Value, value: number | readonly number[]): void {
  if (object instanceof Counter) object.value = value as number;
  else (object.data as Float32Array).set(value as readonly number[]);
}

export function plain(object: Value): number | number[] {
  return object instanceof Counter ? object.value : Array.from(object.data as Float32Array);
}

/** JSON has no nan, inf or -0: those go as Python prints them. */
export function jsonNumber(value: number): number | string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  return Object.is(value, -0) ? '-0.0' : value;
}
