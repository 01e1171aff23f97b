import type { TrackableNode } from '../checkpoint/trackable.ts';
import { heldTensor } from './container.ts';
import type { Parts } from './part.ts';
import type { Runtime } from './runtime.ts';
import type { Freezer } from './snapshot.ts';
import type { TfLayer, TfLayerVariable, TfTensor } from './types.ts';

/** Fields of tfjs-layers' Layer, RNN, Wrapper, Bidirectional and StackedRNNCells. */
interface LayerFields {
  _trainableWeights?: readonly TfLayerVariable[];
  _nonTrainableWeights?: readonly TfLayerVariable[];
  cell?: unknown;
  cells?: unknown;
  layer?: unknown;
  forwardLayer?: unknown;
  backwardLayer?: unknown;
  stateful?: boolean;
  states_?: TfTensor[] | null;
  resetStates?(): void;
}

/** Weights that Keras 3 keeps under a name with an underscore, beside the plain one; both are written. */
const UNDERSCORED = new Set(['kernel', 'embeddings']);

/** The layer whose only kernel Keras 3 calls just that. */
const DEPTHWISE = 'DepthwiseConv2D';

/**
 * A layer: its weights by their own names, not those of the process (`dense_Dense1/kernel` is `kernel`), the layers it
 * wraps, and the states of a stateful recurrent layer.
 */
export function layerNode(layer: TfLayer, parts: Parts, runtime: Runtime, freezer: Freezer): TrackableNode {
  const fields = layer as TfLayer & LayerFields;
  const states = parts.of(layer, 'states', () => ({
    description: 'states',
    *children() {
      // The layer replaces the array at each call.
      const held = () => fields.states_ ?? [];
      for (const name of Object.keys(held())) {
        yield [name, heldTensor(layer, name, held, parts, runtime, freezer)] as const;
      }
    },
  }));
  return {
    identity: layer,
    description: layer.getClassName(),
    *children() {
      yield* named(ownWeights(fields), layer.getClassName());
      for (const [name, value] of innerLayers(fields, runtime)) {
        yield [name, Array.isArray(value) ? parts.list(layer, name, () => fields.cells as TfLayer[]) : value];
      }
      if (otherWeights(fields, runtime).length > 0) {
        yield ['_weights', parts.list(layer, '_weights', () => otherWeights(fields, runtime))];
      }
      if (fields.stateful === true && fields.states_ != null) yield ['states', states];
    },
    beforeRestore(stored) {
      // A stateful layer makes its states at its first call.
      if (fields.stateful === true && fields.states_ === null && stored.child('states') !== undefined) {
        fields.resetStates?.();
      }
    },
  };
}

function ownWeights(fields: LayerFields): readonly TfLayerVariable[] {
  return [...(fields._trainableWeights ?? []), ...(fields._nonTrainableWeights ?? [])];
}

/** What is left: a custom layer may keep layers in fields of any name. Their weights, in order. */
function otherWeights(fields: TfLayer & LayerFields, runtime: Runtime): object[] {
  const reached = new Set(ownWeights(fields));
  for (const [, value] of innerLayers(fields, runtime)) {
    for (const { weights } of Array.isArray(value) ? value : [value]) for (const weight of weights) reached.add(weight);
  }
  return fields.weights.filter((weight) => !reached.has(weight)).map((weight) => weight.read());
}

function* named(weights: readonly TfLayerVariable[], className: string): Generator<readonly [string, unknown]> {
  const used = new Set<string>();
  for (const weight of weights) {
    const base = weight.originalName.slice(weight.originalName.lastIndexOf('/') + 1);
    let name = base;
    for (let i = 1; used.has(name); i++) name = `${base}_${i}`;
    used.add(name);
    const variable = weight.read();
    if (UNDERSCORED.has(name)) yield [`_${name}`, variable];
    if (className === DEPTHWISE && name === 'depthwise_kernel') yield ['kernel', variable];
    yield [name, variable];
  }
}

/** The layers that a layer is made of, by Keras's names. */
function innerLayers(fields: LayerFields, runtime: Runtime): (readonly [name: string, TfLayer | TfLayer[]])[] {
  const { cells, forwardLayer, backwardLayer } = fields;
  const inner: (readonly [string, TfLayer | TfLayer[]])[] = [];
  const add = (name: string, value: unknown) => {
    if (runtime.isLayer(value)) inner.push([name, value]);
  };
  add('cell', fields.cell);
  if (Array.isArray(cells) && cells.every((cell) => runtime.isLayer(cell))) inner.push(['cells', cells]);
  add('forward_layer', forwardLayer);
  add('backward_layer', backwardLayer);
  // Bidirectional keeps the layer that it made its two copies of; that one is never built.
  if (forwardLayer === undefined) add('layer', fields.layer);
  return inner;
}
