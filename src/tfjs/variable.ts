import { VARIABLE_VALUE } from '../checkpoint/keys.ts';
import type { PlacedValue, TrackableNode, TrackableValue } from '../checkpoint/trackable.ts';
import { invalidArgument } from '../errors.ts';
import type { TensorPlace } from './exchange.ts';
import type { PlacedTensor } from './provide.ts';
import { dtypeOf, type Runtime } from './runtime.ts';
import type { Freezer } from './snapshot.ts';
import type { TfVariable } from './types.ts';

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
      stage: (value) => runtime.exchange.stage(place, value),
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

/** The value of a variable: it is assigned, and so takes the buffer of another tensor. */
export function variablePlace(variable: TfVariable, description = `Variable '${variable.name}'`): TensorPlace {
  return {
    description,
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
}

/** A `tf.Variable`, of the user's, of a layer or of an optimizer: restored by assigning a new buffer to it. */
export function variableNode(variable: TfVariable, runtime: Runtime, freezer: Freezer): TrackableNode {
  const place = variablePlace(variable);
  return {
    identity: variable,
    description: place.description,
    values: () => [tensorValue(place, runtime, freezer)],
  };
}
