import { type CheckpointError, describeValue, invalidArgument } from '../errors.ts';
import { isHostTensor, isHostTensorLike, keptWith } from '../tensor/host-tensor.ts';
import { ArrayChildren, type ChildList, ObjectChildren } from './child-list.ts';
import { isCounter } from './counter.ts';
import { counterNode, stateNode, stateValues } from './state-nodes.ts';
import { plainTensorNode, tensorNode } from './tensor-nodes.ts';
import {
  type Adapter,
  type HasCheckpointChildren,
  type SelfDescribing,
  type Serializable,
  TRACKABLE,
  type TrackableNode,
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
