import type { TrackableNode } from '../checkpoint/trackable.ts';
import { invalidArgument } from '../errors.ts';
import type { Part, Parts } from './part.ts';
import type { Runtime } from './runtime.ts';
import type { Freezer } from './snapshot.ts';
import type { TfTensor } from './types.ts';
import { tensorValue } from './variable.ts';

/** An array or plain object that holds tensors. */
type Container = Record<string, unknown>;

/**
 * Tensors have no place of their own to be restored to: they are replaced in the array or plain object that holds
 * them, and the replaced tensor is disposed. `undefined` for values that aren't such containers.
 */
export function containerNode(
  value: object,
  parts: Parts,
  runtime: Runtime,
  freezer: Freezer,
): TrackableNode | undefined {
  if (!isContainer(value) || !Object.values(value).some((item) => isPlainTensor(item, runtime))) return undefined;
  return {
    identity: value,
    description: Array.isArray(value) ? 'Array of tensors' : 'Object of tensors',
    *children() {
      for (const [name, item] of Object.entries(value)) {
        yield [
          name,
          isPlainTensor(item, runtime) ? heldTensor(value, name, () => value, parts, runtime, freezer) : item,
        ] as const;
      }
    },
  };
}

/** The tensor `holder()[name]` of `owner`, replaced there at a restore. The holder may be another one at each call. */
export function heldTensor(
  owner: object,
  name: string,
  holder: () => object,
  parts: Parts,
  runtime: Runtime,
  freezer: Freezer,
): Part {
  const container = () => holder() as Container;
  const description = `Tensor [${JSON.stringify(name)}]`;
  const place = {
    description,
    get: () => container()[name] as TfTensor,
    set(tensor: TfTensor) {
      const old = container()[name] as TfTensor;
      container()[name] = tensor;
      if (!old.isDisposed) old.dispose();
    },
  };
  return parts.of(owner, `item ${name}`, () => ({ description, values: () => [tensorValue(place, runtime, freezer)] }));
}

/** A tensor that was given by itself: it can be saved, but there is nowhere to put a restored one. */
export function looseTensorNode(tensor: TfTensor, runtime: Runtime, freezer: Freezer): TrackableNode {
  const place = {
    description: 'Tensor',
    get: () => tensor,
    set(restored: TfTensor) {
      restored.dispose();
      throw invalidArgument(
        'A tf.Tensor never changes, so that a restored value has nowhere to go. Use a tf.Variable, or hold the tensor in an object or array: new Checkpoint({ state: { tensor } }).',
      );
    },
  };
  return { identity: tensor, description: 'Tensor', values: () => [tensorValue(place, runtime, freezer)] };
}

function isPlainTensor(value: unknown, runtime: Runtime): boolean {
  return typeof value === 'object' && value !== null && runtime.isTensor(value) && !runtime.isVariable(value);
}

function isContainer(value: object): value is Container {
  if (Array.isArray(value)) return true;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}
