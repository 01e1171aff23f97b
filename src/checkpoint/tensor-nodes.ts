import { invalidArgument } from '../errors.ts';
import type { DType } from '../tensor/dtypes.ts';
import {
  type HostTensor,
  type HostTensorInit,
  hostTensorSource,
  makeWithTensors,
  toHostTensor,
} from '../tensor/host-tensor.ts';
import type { MemoryRange } from '../tensor/memory.ts';
import { VARIABLE_VALUE } from './keys.ts';
import type { Snapshot, TrackableNode, TrackableValue } from './trackable.ts';

function plainTensor(value: HostTensorInit, path: string): HostTensor {
  try {
    return toHostTensor(value);
  } catch (cause) {
    throw invalidArgument(`${path}: ${(cause as Error).message}`, { cause });
  }
}

/**
 * A HostTensor of fixed width is node, value, snapshot, source and destination in one small object that is made with it: its
 * dtype, shape and memory never change, and there may be a million of them.
 */
class TensorLeaf implements TrackableNode, TrackableValue, Snapshot {
  readonly identity: HostTensor;

  constructor(tensor: HostTensor) {
    this.identity = tensor;
  }

  get description(): string {
    return 'HostTensor';
  }

  get value(): this {
    return this;
  }

  get attribute(): string {
    return VARIABLE_VALUE;
  }

  get constant(): true {
    return true;
  }

  get dtype(): DType {
    return this.identity.dtype;
  }

  get shape(): readonly number[] {
    return this.identity.shape;
  }

  capture(): this {
    return this;
  }

  get source(): this {
    return this;
  }

  get destination(): this {
    return this;
  }

  get kind(): 'memory' {
    return 'memory';
  }

  get bytes(): MemoryRange {
    return this.identity.memory;
  }
}

makeWithTensors((tensor) => new TensorLeaf(tensor));

/** The node of a HostTensor. */
export function tensorNode(tensor: HostTensor): TrackableNode {
  return tensor.dtype === 'string' ? stringsNode(tensor) : new TensorLeaf(tensor);
}

function stringsNode(tensor: HostTensor): TrackableNode {
  return {
    identity: tensor,
    description: 'HostTensor',
    values: () => [tensorValue(tensor, (value) => tensor.assign(value))],
  };
}

/** The node of a plain `{ dtype, shape, data }`. */
export function plainTensorNode(value: HostTensorInit, where: () => string): TrackableNode {
  const path = where();
  return {
    identity: value,
    description: 'HostTensor',
    // A plain tensor is wrapped anew each time: its owner may have put other memory into it.
    values: () => [tensorValue(plainTensor(value, path), (restored) => assignStrings(value, restored))],
  };
}

/** Into the caller's own array, in the form in which its elements are. */
function assignStrings(target: HostTensorInit, value: HostTensor): void {
  const elements = target.data as (string | Uint8Array)[];
  (value.data as Uint8Array[]).forEach((bytes, i) => {
    elements[i] = typeof elements[i] === 'string' ? new TextDecoder().decode(bytes) : bytes;
  });
}

function tensorValue(tensor: HostTensor, assign: (value: HostTensor) => void): TrackableValue {
  const { dtype, shape } = tensor;
  if (dtype === 'string') {
    return {
      attribute: VARIABLE_VALUE,
      dtype,
      shape,
      capture: () => ({ source: hostTensorSource(tensor) }),
      destination: { kind: 'replace', assign },
    };
  }
  return {
    attribute: VARIABLE_VALUE,
    dtype,
    shape,
    capture: () => ({ source: hostTensorSource(tensor) }),
    destination: { kind: 'memory', bytes: tensor.memory },
  };
}
