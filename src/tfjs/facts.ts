import type { TfLayersModel, TfOptimizer } from './types.ts';

/**
 * What a model is, as TensorFlow.js's model.json says it but for the weights. Everything that is no topology may be
 * missing.
 */
export interface ModelFacts {
  readonly format: 'layers-model';
  /** Library and version. */
  readonly generatedBy: string;
  /** What `model.toJSON()` returned; null where it threw. */
  readonly modelTopology: Record<string, unknown> | null;
  /** Loss, metrics and optimizer of a model that is compiled. */
  readonly trainingConfig?: Record<string, unknown>;
  readonly userDefinedMetadata?: Record<string, unknown>;
  /** Elements of all weights. */
  readonly parameters: number;
  /** The weights in the order of `model.weights`. */
  readonly weights: readonly WeightFacts[];
  /** Why there is no topology. */
  readonly problem?: string;
}

/** A weight: what TensorFlow.js calls it in a model.json, and where it is. */
export interface WeightFacts {
  readonly name: string;
  /** Local names from the model's node to the value's. */
  readonly path: readonly string[];
  /** `optimizer` for the state of an optimizer that was saved by TensorFlow.js's own interface. */
  readonly group?: string;
}

/** What an optimizer is; `config` is missing where its class doesn't tell. */
export interface OptimizerFacts {
  readonly className: string;
  readonly config?: Record<string, unknown>;
}

/** Methods of tfjs-layers' LayersModel that its types hide. */
interface TrainingConfig {
  getTrainingConfig?(): Record<string, unknown>;
  optimizer?: TfOptimizer | null;
}

/** Never throws: a model that can't say what it is can be saved all the same. */
export function modelFacts(model: TfLayersModel, weights: readonly WeightFacts[]): string {
  const topology = attempt(() => model.toJSON(null, false) as Record<string, unknown>);
  const { keras_version: version } = ('value' in topology ? topology.value : {}) as { keras_version?: string };
  const training = model as TfLayersModel & TrainingConfig;
  const config = training.optimizer == null ? undefined : attempt(() => training.getTrainingConfig?.());
  const facts: ModelFacts = {
    format: 'layers-model',
    generatedBy: `TensorFlow.js ${version ?? ''}`.trim(),
    modelTopology: 'value' in topology ? topology.value : null,
    trainingConfig: config !== undefined && 'value' in config ? config.value : undefined,
    userDefinedMetadata: model.getUserDefinedMetadata?.() as Record<string, unknown> | undefined,
    parameters: parametersOf(model),
    weights,
    problem: 'problem' in topology ? topology.problem : undefined,
  };
  const text = attempt(() => wellFormed(JSON.stringify(facts)));
  if ('value' in text) return text.value;
  const { generatedBy, parameters } = facts;
  const { problem } = text;
  return JSON.stringify({ format: 'layers-model', generatedBy, modelTopology: null, parameters, weights: [], problem });
}

export function optimizerFacts(optimizer: TfOptimizer): string {
  const className = String(optimizer.getClassName() ?? optimizer.constructor.name);
  const text = attempt(() => wellFormed(JSON.stringify({ className, config: optimizer.getConfig?.() })));
  return 'value' in text ? text.value : JSON.stringify({ className: className.toWellFormed() });
}

function parametersOf(model: TfLayersModel): number {
  const size = (shape: readonly number[]) => shape.reduce((product, dimension) => product * dimension, 1);
  return model.weights.reduce((sum, weight) => sum + size((weight.read() as { shape: number[] }).shape), 0);
}

function wellFormed(text: string): string {
  if (!text.isWellFormed()) throw new Error('a name in it has a lone surrogate, which UTF-8 can not hold');
  return text;
}

function attempt<T>(action: () => T): { readonly value: T } | { readonly problem: string } {
  try {
    return { value: action() };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}
