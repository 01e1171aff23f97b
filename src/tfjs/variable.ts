import { VARIABLE_VALUE } from '../checkpoint/keys.ts';
import type { PlacedValue, TrackableNode, TrackableValue } from '../checkpoint/trackable.ts';
import { invalidArgument } from '../errors.ts';
import type { PlacedTensor } from './provide.ts';
import { dtypeOf, type Runtime } from './runtime.ts';
import type { Freezer } from './snapshot.ts';
import type { TfTensor, TfVariable } from './types.ts';

/** Where a tensor is: what is saved is what `get` returns then, what is restored goes to `set`, which owns it. */
export interface TensorPlace {
  /** For messages. */
  readonly description: string;
  get(): TfTensor;
  set(value: TfTensor): void;
}

export function tensorValue(place: TensorPlace, runtime: Runtime, freezer: Freezer): TrackableValue {
  const tensor = place.get();
  if (tensor.isDisposed) {
    throw invalidArgument(`${place.description} has been disposed, so that it has no value to save or restore.`);
  }
  const dtype = dtypeOf(tensor);
  return {
    attribute: VARIABLE_VALUE,
    dtype,
    shape: tensor.shape,
    capture: () => freezer.capture(tensor),
    destination: {
      kind: 'replace',
      adopts: runtime.adopts(dtype),
      assign: (value) => place.set(runtime.toTensor(value)),
      place: (stored, shape) => placedValue(place, runtime.place(stored, shape)),
    },
  };
}

function placedValue(place: TensorPlace, placed: PlacedTensor | undefined): PlacedValue | undefined {
  if (placed === undefined) return undefined;
  const { tensor, memory, release } = placed;
  return {
    memory,
    assign() {
      release();
      place.set(tensor);
    },
    discard() {
      release();
      tensor.dispose();
    },
  };
}

/** A `tf.Variable`, of the user's, of a layer or of an optimizer: restored by assigning a new buffer to it. */
export function variableNode(variable: TfVariable, runtime: Runtime, freezer: Freezer): TrackableNode {
  const place: TensorPlace = {
    description: `Variable '${variable.name}'`,
    get: () => variable,
    set(value) {
      // Not through LayerVariable.write(): it applies the weight's constraint, which can change the last bits.
      try {
        variable.assign(value);
      } finally {
        value.dispose();
      }
    },
  };
  return {
    identity: variable,
    description: place.description,
    values: () => [tensorValue(place, runtime, freezer)],
  };
}
