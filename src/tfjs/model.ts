import type { TrackableNode } from '../checkpoint/trackable.ts';
import { CachedFacts } from './facts-cache.ts';
import type { Parts } from './part.ts';
import type { Runtime } from './runtime.ts';
import type { TfLayer, TfLayersModel, TfLayerVariable, TfOptimizer, TfVariable } from './types.ts';
import { NAMED_WEIGHTS } from './weight-paths.ts';

/** Fields of tfjs-layers' LayersModel and Sequential. */
interface ModelFields {
  optimizer?: TfOptimizer | null;
  collectedTrainableWeights?: readonly TfLayerVariable[];
  /** The functional model inside a Sequential, once it is built. */
  model?: ModelFields | null;
  inputLayers?: readonly TfLayer[];
  inputs?: readonly { sourceLayer?: TfLayer }[];
}

/** The local name of the text that says what a model is. */
export const MODEL_FACTS = '_tfjs_model';

/**
 * A model, as Keras 3 tracks it: `_operations` is the list of its layers, the input layers among them; a Sequential
 * has it below `_functional`. The optimizer of a compiled model hangs below the model, and what
 * TensorFlow.js's model.json would say of it: Keras passes that over, and describeCheckpoint() tells it.
 */
export function modelNode(
  model: TfLayersModel,
  parts: Parts,
  runtime: Runtime,
  adapt: (value: unknown) => TrackableNode | undefined,
): TrackableNode {
  const operations = parts.list(model, '_operations', () => operationsOf(model, runtime));
  const functional = parts.of(model, '_functional', () => ({
    description: '_functional',
    children: () => [['_operations', operations] as const],
  }));
  const [edge, part] = runtime.isSequential(model)
    ? (['_functional', functional] as const)
    : (['_operations', operations] as const);
  const cached = new CachedFacts(model, adapt);
  const facts = parts.text(model, MODEL_FACTS, () => cached.now());
  const named = parts.of(model, NAMED_WEIGHTS, () => ({
    description: NAMED_WEIGHTS,
    *children() {
      for (const weight of model.weights) yield [weight.originalName, weight.read()] as const;
    },
  }));
  let isByName = false;
  return {
    identity: model,
    description: model.getClassName(),
    *children() {
      yield [edge, part];
      const optimizer = optimizerOf(model);
      if (optimizer !== undefined) yield ['optimizer', optimizer];
      yield [MODEL_FACTS, facts];
      if (isByName) yield [NAMED_WEIGHTS, named];
    },
    beforeRestore(stored) {
      // Of a model that was imported: its weights are known by TensorFlow.js's names alone.
      isByName = stored.child(NAMED_WEIGHTS) !== undefined;
    },
    afterRestore() {
      isByName = false;
    },
  };
}

export function optimizerOf(model: TfLayersModel): TfOptimizer | undefined {
  return (model as ModelFields).optimizer ?? undefined;
}

/** The variables that the model's optimizer trains, in its order; undefined until the model is compiled. */
export function trainedVariables(model: TfLayersModel): readonly TfVariable[] | undefined {
  const fields = model as ModelFields;
  const weights = (fields.model ?? fields).collectedTrainableWeights;
  return weights?.map((weight) => weight.read() as TfVariable);
}

function operationsOf(model: TfLayersModel, runtime: Runtime): readonly TfLayer[] {
  if (!runtime.isSequential(model)) return model.layers;
  // A Sequential hides the input layer that its functional model has.
  const hidden = ((model as ModelFields).inputs ?? []).flatMap(({ sourceLayer }) => sourceLayer ?? []);
  return [...hidden.filter((layer) => !model.layers.includes(layer)), ...model.layers];
}
