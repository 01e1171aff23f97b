import { CheckpointError, describeValue, invalidArgument } from '../errors.ts';
import type { DType } from '../tensor/dtypes.ts';
import {
  type HostTensor,
  type HostTensorInit,
  hostTensorSource,
  isHostTensor,
  isHostTensorLike,
  keptWith,
  toHostTensor,
} from '../tensor/host-tensor.ts';
import type { MemoryRange } from '../tensor/memory.ts';
import { ArrayChildren, type ChildList, ObjectChildren } from './child-list.ts';
import { type Counter, type CounterDType, isCounter } from './counter.ts';
import { PYTHON_STATE, VARIABLE_VALUE } from './keys.ts';
import {
  type Adapter,
  type HasCheckpointChildren,
  type SelfDescribing,
  type Serializable,
  type Snapshot,
  TRACKABLE,
  type TrackableNode,
  type TrackableValue,
} from './trackable.ts';
import type { Resolve } from './tree.ts';

/**
 * The resolver of a Checkpoint: which node of the object graph a value is. In this order: tensors and counters of this
 * package; objects that name their own children; what an adapter knows; serializable state; plain tensors; arrays and
 * plain objects. Adapters come before containers, so that they can claim a container whose items they replace.
 */
export function createResolver(adapters: readonly Adapter[]): Resolve {
  return function resolve(value, where) {
    if (typeof value !== 'object' && typeof value !== 'function') throw unsupported(value, where);
    if (value === null) throw unsupported(value, where);
    if (isHostTensor(value)) return keptWith(value, tensorNode);
    if (isCounter(value)) return counterNode(value);
    if (describesItself(value)) return value[TRACKABLE]();
    if (hasChildren(value)) return objectNode(value);
    for (const adapter of adapters) {
      const node = adapter.adapt(value);
      if (node === undefined) continue;
      if (typeof node === 'object' && typeof node?.identity === 'object' && node.identity !== null) return node;
      throw invalidArgument(`${where()}: an adapter must return a node or undefined, not ${describeValue(node)}.`);
    }
    if (isSerializable(value)) return stateNode(value);
    if (isHostTensorLike(value)) return plainTensorNode(value, where);
    if (Array.isArray(value)) return new ArrayNode(value);
    if (isPlainObject(value)) return new PlainNode(value as Record<string, unknown>);
    throw unsupported(value, where);
  };
}

function unsupported(value: unknown, where: () => string): CheckpointError {
  const given =
    value === null ? 'null' : typeof value === 'object' ? `an instance of ${value.constructor?.name}` : typeof value;
  return invalidArgument(
    `${where()} is ${given}, which a checkpoint can't hold. It holds HostTensor, DeviceTensor, Counter, objects with serialize() ` +
      'and deserialize(), plain objects and arrays of these, objects with checkpointChildren(), and what the ' +
      'adapters given to the Checkpoint know (tfjs models, optimizers and variables need adapters: [tfjs(tf)]).',
  );
}

function describesItself(value: object): value is SelfDescribing {
  return typeof (value as Partial<SelfDescribing>)[TRACKABLE] === 'function';
}

function hasChildren(value: object): value is HasCheckpointChildren {
  return typeof (value as Partial<HasCheckpointChildren>).checkpointChildren === 'function';
}

function isSerializable(value: object): value is Serializable {
  const candidate = value as Partial<Serializable>;
  return typeof candidate.serialize === 'function' && typeof candidate.deserialize === 'function';
}

export function isPlainObject(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  // An object literal of another realm (vm, a test runner) has that realm's Object.prototype: one without a parent.
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}

function plainTensor(value: HostTensorInit, path: string): HostTensor {
  try {
    return toHostTensor(value);
  } catch (cause) {
    throw invalidArgument(`${path}: ${(cause as Error).message}`, { cause });
  }
}

/**
 * A HostTensor of fixed width is node, value, snapshot, source and destination in one small object that is made once: its
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

function tensorNode(tensor: HostTensor): TrackableNode {
  return tensor.dtype === 'string' ? stringsNode(tensor) : new TensorLeaf(tensor);
}

function stringsNode(tensor: HostTensor): TrackableNode {
  return {
    identity: tensor,
    description: 'HostTensor',
    values: () => [tensorValue(tensor, (value) => tensor.assign(value))],
  };
}

function plainTensorNode(value: HostTensorInit, where: () => string): TrackableNode {
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

function counterNode(counter: Counter): TrackableNode {
  return {
    identity: counter,
    description: 'Counter',
    values: () => [
      {
        attribute: VARIABLE_VALUE,
        dtype: counter.dtype,
        shape: [],
        acceptedDTypes: ['int64', 'int32'],
        capture: () => ({ source: { kind: 'memory', bytes: counterBytes(counter) } }),
        destination: {
          kind: 'replace',
          assign(value) {
            const view = new DataView(value.bytes.buffer, value.bytes.byteOffset, value.byteLength);
            const stored = value.dtype === 'int64' ? view.getBigInt64(0, true) : BigInt(view.getInt32(0, true));
            const number = Number(stored);
            if (!Number.isSafeInteger(number)) {
              throw new CheckpointError(
                'OUT_OF_RANGE',
                `The stored counter ${stored} does not fit a JavaScript number.`,
              );
            }
            counter.restore(number, value.dtype as CounterDType);
          },
        },
      },
    ],
  };
}

function counterBytes(counter: Counter): Uint8Array {
  const bytes = new Uint8Array(counter.dtype === 'int64' ? 8 : 4);
  const view = new DataView(bytes.buffer);
  if (counter.dtype === 'int64') view.setBigInt64(0, BigInt(counter.value), true);
  else view.setInt32(0, counter.value, true);
  return bytes;
}

function stateValues(state: Serializable): TrackableValue[] {
  return [
    {
      attribute: PYTHON_STATE,
      dtype: 'string',
      shape: [],
      capture() {
        const text = state.serialize();
        if (typeof text !== 'string' || !text.isWellFormed()) {
          throw invalidArgument(
            typeof text === 'string'
              ? 'serialize() returned text with a lone surrogate, which UTF-8 can not hold. Encode binary state, for example as base64.'
              : `serialize() must return a string, not ${text === null ? 'null' : typeof text}. It is called synchronously: a promise can't be saved.`,
          );
        }
        return { source: { kind: 'strings', elements: [new TextEncoder().encode(text)] } };
      },
      destination: {
        kind: 'replace',
        assign(value) {
          const bytes = (value.data as Uint8Array[])[0]!;
          let text: string;
          try {
            text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
          } catch (cause) {
            throw new CheckpointError(
              'UNSUPPORTED',
              'The stored state is binary, not UTF-8 text; read it with loadVariable().',
              { cause },
            );
          }
          state.deserialize(text);
        },
      },
    },
  ];
}

function stateNode(state: Serializable): TrackableNode {
  return { identity: state, description: 'Serializable', values: () => stateValues(state) };
}

function namedChildren(value: HasCheckpointChildren): [string, unknown][] {
  const children: unknown = value.checkpointChildren();
  if (typeof children === 'object' && children !== null && isPlainObject(children)) return Object.entries(children);
  throw invalidArgument(
    `checkpointChildren() must return a plain object of named values, not ${describeValue(children)}. It is called synchronously.`,
  );
}

function objectNode(value: HasCheckpointChildren): TrackableNode {
  return {
    identity: value,
    description: value.constructor?.name ?? 'object',
    children: () => namedChildren(value),
    ...(isSerializable(value) ? { values: () => stateValues(value) } : {}),
  };
}

class ArrayNode implements TrackableNode {
  readonly identity: readonly unknown[];

  constructor(items: readonly unknown[]) {
    this.identity = items;
  }

  get description(): string {
    return 'Array';
  }

  list(): ChildList {
    return new ArrayChildren(this.identity);
  }
}

class PlainNode implements TrackableNode {
  readonly identity: Record<string, unknown>;

  constructor(object: Record<string, unknown>) {
    this.identity = object;
  }

  get description(): string {
    return 'object';
  }

  list(): ChildList {
    return new ObjectChildren(this.identity);
  }
}
