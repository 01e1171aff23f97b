import { PYTHON_STATE, VARIABLE_VALUE } from '../checkpoint/index.ts';
import type { TrackableNode, TrackableValue } from '../checkpoint/trackable.ts';
import { CheckpointError, describeValue } from '../errors.ts';
import { type DType, elementSize } from '../tensor/dtypes.ts';
import type { TensorSource } from '../tensor/source.ts';
import type { ModelFacts } from './facts.ts';
import { MODEL_FACTS } from './model.ts';
import { NAMED_WEIGHTS } from './weight-paths.ts';

/** A weight as a model.json describes it. */
export interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly byteLength: number;
  readonly group?: string;
}

/** What a model.json, or tfjs's ModelArtifacts, says beside the weights. */
export interface Artifacts {
  readonly format?: unknown;
  readonly generatedBy?: unknown;
  readonly modelTopology?: unknown;
  readonly trainingConfig?: unknown;
  readonly userDefinedMetadata?: unknown;
}

const DTYPES: ReadonlySet<unknown> = new Set(['float32', 'int32', 'bool', 'complex64']);

/** @throws CheckpointError UNSUPPORTED for a model that isn't a layers model. */
export function checkArtifacts(artifacts: Artifacts, what: string): void {
  const { format, modelTopology } = artifacts;
  if (format !== undefined && format !== null && format !== 'layers-model') {
    throw new CheckpointError(
      'UNSUPPORTED',
      `${what}: the format is ${describeValue(format)}. Only a layers model has weights that can be trained; convert with --output_format tfjs_layers_model.`,
    );
  }
  if (typeof modelTopology !== 'object' || modelTopology === null) {
    throw new CheckpointError('UNSUPPORTED', `${what}: there is no modelTopology, which says what the model is.`);
  }
}

/** @throws CheckpointError DATA_LOSS for what is no list of weights; UNSUPPORTED for what can't be trained on. */
export function weightSpecs(given: unknown, what: string): WeightSpec[] {
  if (!Array.isArray(given)) throw new CheckpointError('DATA_LOSS', `${what}: the weights are no list.`);
  const names = new Set<string>();
  return given.map((spec: unknown) => {
    const { name, shape, dtype, quantization, group } = (spec ?? {}) as Record<string, unknown>;
    if (typeof name !== 'string' || name === '' || names.has(name)) {
      throw new CheckpointError(
        'DATA_LOSS',
        `${what}: a weight is called ${describeValue(name)}, which is no name of its own.`,
      );
    }
    names.add(name);
    const dimensions = shape as number[];
    const isShape = Array.isArray(shape) && dimensions.every((size) => Number.isSafeInteger(size) && size >= 0);
    if (!isShape) throw new CheckpointError('DATA_LOSS', `${what}: the weight '${name}' has no shape.`);
    if (quantization !== undefined) {
      const { dtype: stored } = (quantization ?? {}) as { dtype?: unknown };
      throw new CheckpointError(
        'UNSUPPORTED',
        `${what}: the weight '${name}' is quantized (${describeValue(stored)}): its values are lost, and training can't go on from them. Import the model that was quantized.`,
      );
    }
    if (!DTYPES.has(dtype)) {
      throw new CheckpointError('UNSUPPORTED', `${what}: the weight '${name}' is of dtype ${describeValue(dtype)}.`);
    }
    const count = dimensions.reduce((product, size) => product * size, 1);
    const byteLength = count * elementSize(dtype as DType)!;
    if (!Number.isSafeInteger(byteLength)) {
      throw new CheckpointError('DATA_LOSS', `${what}: the weight '${name}' has an impossible shape.`);
    }
    return {
      name,
      shape: [...dimensions],
      dtype: dtype as DType,
      byteLength,
      ...(group === undefined ? {} : { group: String(group) }),
    };
  });
}

/** A model that is stored by TensorFlow.js's names, without having been built. */
export function importedModelNode(
  artifacts: Artifacts,
  weights: readonly WeightSpec[],
  sourceOf: (weight: WeightSpec) => TensorSource,
): TrackableNode {
  const { generatedBy, modelTopology, trainingConfig, userDefinedMetadata } = artifacts;
  const elements = ({ shape }: WeightSpec) => shape.reduce((product, size) => product * size, 1);
  const facts: ModelFacts = {
    format: 'layers-model',
    generatedBy: typeof generatedBy === 'string' ? generatedBy : 'TensorFlow.js',
    modelTopology: modelTopology as Record<string, unknown>,
    trainingConfig: (trainingConfig ?? undefined) as Record<string, unknown> | undefined,
    userDefinedMetadata: (userDefinedMetadata ?? undefined) as Record<string, unknown> | undefined,
    parameters: weights.reduce((sum, weight) => sum + (weight.group === undefined ? elements(weight) : 0), 0),
    weights: weights.map(({ name, group }) => ({ name, path: [NAMED_WEIGHTS, name], group })),
  };
  const text = new TextEncoder().encode(JSON.stringify(facts));
  const list = node(
    NAMED_WEIGHTS,
    weights.map((weight) => [
      weight.name,
      node(
        weight.name,
        [],
        value(VARIABLE_VALUE, weight.dtype, weight.shape, () => sourceOf(weight)),
      ),
    ]),
  );
  const description = value(PYTHON_STATE, 'string', [], () => ({ kind: 'strings', elements: [text] }));
  return node('model', [
    [MODEL_FACTS, node(MODEL_FACTS, [], description)],
    [NAMED_WEIGHTS, list],
  ]);
}

/** A node that is only ever saved, and stands for itself. */
export function node(
  description: string,
  children: readonly (readonly [string, TrackableNode])[],
  own?: TrackableValue,
): TrackableNode {
  const made: TrackableNode & { identity: object } = {
    identity: {},
    description,
    ...(children.length > 0 ? { children: () => children } : {}),
    ...(own === undefined ? {} : { values: () => [own] }),
  };
  return made;
}

function value(attribute: string, dtype: DType, shape: readonly number[], source: () => TensorSource): TrackableValue {
  return {
    attribute,
    dtype,
    shape,
    capture: () => ({ source: source() }),
    destination: { kind: 'replace', assign() {} },
  };
}
