import type { CheckpointReader } from '../bundle/index.ts';
import { decodeObjectGraph } from '../checkpoint/decode-object-graph.ts';
import { OBJECT_GRAPH_KEY, PYTHON_STATE, SAVE_COUNTER, VARIABLE_VALUE } from '../checkpoint/index.ts';
import { attributeRow, childrenOf, type ObjectGraph } from '../checkpoint/object-graph.ts';
import { optionsObject } from '../checkpoint/option-checks.ts';
import { CheckpointError, describeValue, invalidArgument } from '../errors.ts';
import { loadCheckpoint } from '../manager/index.ts';
import { resolvePrefix } from '../manager/latest.ts';
import { promiseOf, ShortTurns } from '../steps.ts';
import type { ModelFacts, OptimizerFacts } from './facts.ts';
import { MODEL_FACTS } from './model.ts';
import { OPTIMIZER_FACTS } from './optimizer-parts.ts';

/** What a checkpoint is. */
export interface CheckpointDescription {
  /** Path, absolute. */
  readonly prefix: string;
  /** Values, the object graph not counted. */
  readonly tensors: number;
  /** Bytes of the values. */
  readonly bytes: number;
  /** Names of the objects given to the Checkpoint; empty for a checkpoint without an object graph. */
  readonly objects: readonly string[];
  /** Number of the save; null for one of `write()`. */
  readonly saveCounter: number | null;
  /** The tfjs models in it, as far as they say what they are: one that Python wrote doesn't. */
  readonly models: readonly ModelDescription[];
}

/** What a tfjs model in a checkpoint is. */
export interface ModelDescription {
  /** Where it is: names from the root, joined by slashes; give it to {@link modelTopology} and `loadModel`. */
  readonly path: string;
  /** `Sequential`, `Model`, or a class of the user's; null where the model couldn't say. */
  readonly className: string | null;
  readonly name: string | null;
  /** Layers at the top level; null where the model couldn't say. */
  readonly layers: number | null;
  /** Elements of all weights. */
  readonly parameters: number;
  /** The optimizer that it was compiled with. */
  readonly optimizer: (OptimizerFacts & { readonly iterations: number | null }) | null;
  readonly userDefinedMetadata: Record<string, unknown> | null;
  readonly generatedBy: string;
}

/**
 * A tfjs model without its weights: what a model.json says. `tf.loadLayersModel({ load: async () => topology })` builds
 * it; `loadModel()` does so and restores it.
 */
export interface ModelTopology extends Omit<ModelFacts, 'modelTopology' | 'problem'> {
  readonly modelTopology: Record<string, unknown>;
}

/**
 * Says what a checkpoint is, without building a model: only the index and a few texts are read.
 *
 * @param prefixOrDirectory A checkpoint, or a directory whose latest is meant.
 * @throws CheckpointError NOT_FOUND, DATA_LOSS
 * @example
 * ```ts
 * const { models } = await describeCheckpoint('./run');
 * console.log(models[0]?.className, models[0]?.optimizer?.iterations);
 * ```
 */
export async function describeCheckpoint(prefixOrDirectory: string): Promise<CheckpointDescription> {
  const prefix = await resolvePrefix(prefixOrDirectory);
  return await reading(prefix, async (reader, graph) => {
    const values = [...reader.variables].filter(([key]) => key !== OBJECT_GRAPH_KEY);
    const counter = graph && (await numberAt(reader, graph, childOf(graph, 0, SAVE_COUNTER)));
    const models: ModelDescription[] = [];
    for (const found of graph === undefined ? [] : modelsIn(graph))
      models.push(await describeModel(reader, graph!, found));
    return {
      prefix,
      tensors: values.length,
      bytes: values.reduce((sum, [, { byteLength }]) => sum + byteLength, 0),
      objects: (graph === undefined ? [] : [...childrenOf(graph, 0)])
        .map(({ localName }) => localName)
        .filter((name) => name !== SAVE_COUNTER),
      saveCounter: counter ?? null,
      models,
    };
  });
}

/** Options of {@link modelTopology}. */
export interface ModelTopologyOptions {
  /** Path of the model in the checkpoint, as in {@link ModelDescription}. Default: the only one there is. */
  model?: string;
}

/**
 * The topology of a tfjs model in a checkpoint, with its training configuration and metadata, as in a model.json.
 *
 * @throws CheckpointError NOT_FOUND: no such checkpoint, or no model in it that says what it is. INVALID_ARGUMENT:
 *   several, and none is named.
 */
export async function modelTopology(
  prefixOrDirectory: string,
  options: ModelTopologyOptions = {},
): Promise<ModelTopology> {
  const { model } = optionsObject(options, new Set(['model']), 'modelTopology') as ModelTopologyOptions;
  return (await findModel(await resolvePrefix(prefixOrDirectory), model, 'modelTopology')).topology;
}

/** @internal The model at `path`, or the only one. */
export async function findModel(
  prefix: string,
  path: string | undefined,
  what: string,
): Promise<{ path: readonly string[]; topology: ModelTopology }> {
  if (path !== undefined && typeof path !== 'string') {
    throw invalidArgument(`${what}: model must be the path of a model in the checkpoint, not ${describeValue(path)}.`);
  }
  return await reading(prefix, async (reader, graph) => {
    const all = graph === undefined ? [] : modelsIn(graph);
    const found = path === undefined ? all : all.filter((one) => one.path.join('/') === path);
    const there = all.map((one) => one.path.join('/')).join(', ');
    const only = found[0];
    if (only === undefined) {
      const hint =
        all.length > 0
          ? `There are: ${there}.`
          : 'One that Python wrote has none: build the model, and restore it with a Checkpoint.';
      throw new CheckpointError(
        'NOT_FOUND',
        `${prefix} has no tfjs model${path === undefined ? '' : ` '${path}'`} that says what it is. ${hint}`,
        { path: prefix },
      );
    }
    if (found.length > 1)
      throw invalidArgument(`${what}: ${prefix} has several models; name one: ${there}.`, { path: prefix });
    const { problem, ...facts } = await factsOf(reader, only.key);
    if (facts.modelTopology === null) {
      throw new CheckpointError(
        'NOT_FOUND',
        `The model '${only.path.join('/')}' of ${prefix} could not say what it is as it was saved: ${problem}`,
        { path: prefix },
      );
    }
    return { path: only.path, topology: facts as ModelTopology };
  });
}

interface FoundModel {
  readonly node: number;
  readonly path: readonly string[];
  readonly key: string;
}

/** Breadth-first, each by its shortest path; those that are layers of another one are not listed. */
function modelsIn(graph: ObjectGraph): FoundModel[] {
  const found: FoundModel[] = [];
  const seen = new Set([0]);
  const queue: { node: number; path: readonly string[] }[] = [{ node: 0, path: [] }];
  for (const { node, path } of queue) {
    const facts = childOf(graph, node, MODEL_FACTS);
    const key = facts === undefined ? undefined : keyOf(graph, facts, PYTHON_STATE);
    if (key !== undefined) {
      found.push({ node, path, key });
      continue;
    }
    for (const { nodeId, localName } of childrenOf(graph, node)) {
      if (seen.has(nodeId)) continue;
      seen.add(nodeId);
      queue.push({ node: nodeId, path: [...path, localName] });
    }
  }
  return found;
}

async function describeModel(
  reader: CheckpointReader,
  graph: ObjectGraph,
  found: FoundModel,
): Promise<ModelDescription> {
  const facts = await factsOf(reader, found.key);
  const { class_name: className, config } = (facts.modelTopology ?? {}) as { class_name?: string; config?: unknown };
  const { name, layers } = (config ?? {}) as { name?: string; layers?: unknown[] };
  return {
    path: found.path.join('/'),
    className: className ?? null,
    name: name ?? null,
    layers: Array.isArray(layers) ? layers.length : null,
    parameters: facts.parameters,
    optimizer: await describeOptimizer(reader, graph, childOf(graph, found.node, 'optimizer')),
    userDefinedMetadata: facts.userDefinedMetadata ?? null,
    generatedBy: facts.generatedBy,
  };
}

async function describeOptimizer(
  reader: CheckpointReader,
  graph: ObjectGraph,
  node: number | undefined,
): Promise<ModelDescription['optimizer']> {
  if (node === undefined) return null;
  const facts = childOf(graph, node, OPTIMIZER_FACTS);
  const key = facts === undefined ? undefined : keyOf(graph, facts, PYTHON_STATE);
  if (key === undefined) return null;
  const iterations = await numberAt(reader, graph, childOf(graph, node, '_iterations'));
  return { ...((await jsonAt(reader, key)) as unknown as OptimizerFacts), iterations: iterations ?? null };
}

async function factsOf(reader: CheckpointReader, key: string): Promise<ModelFacts> {
  const facts = (await jsonAt(reader, key)) as Partial<ModelFacts>;
  const isText = (value: unknown) => typeof value === 'string';
  const isObject = (value: unknown) => typeof value === 'object' && !Array.isArray(value);
  const { modelTopology, trainingConfig, userDefinedMetadata, weights } = facts;
  const fits =
    isText(facts.generatedBy) &&
    Number.isFinite(facts.parameters) &&
    modelTopology !== undefined &&
    [modelTopology, trainingConfig ?? null, userDefinedMetadata ?? null].every(isObject) &&
    Array.isArray(weights) &&
    weights.every((weight) => isText(weight?.name) && Array.isArray(weight.path) && weight.path.every(isText));
  if (fits) return facts as ModelFacts;
  throw new CheckpointError('DATA_LOSS', `${key} doesn't say what a model is, though it should.`, { key });
}

async function jsonAt(reader: CheckpointReader, key: string): Promise<Record<string, unknown>> {
  const { data } = await reader.getTensor(key);
  try {
    const parsed: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode((data as Uint8Array[])[0]));
    if (typeof parsed === 'object' && parsed !== null) return parsed as Record<string, unknown>;
  } catch (cause) {
    throw new CheckpointError('DATA_LOSS', `${key} is no JSON, though it says what a model is.`, { key, cause });
  }
  throw new CheckpointError('DATA_LOSS', `${key} is no JSON object, though it says what a model is.`, { key });
}

async function numberAt(
  reader: CheckpointReader,
  graph: ObjectGraph,
  node: number | undefined,
): Promise<number | undefined> {
  const key = node === undefined ? undefined : keyOf(graph, node, VARIABLE_VALUE);
  if (key === undefined || !reader.hasTensor(key)) return undefined;
  return Number(((await reader.getTensor(key)).data as ArrayLike<number | bigint>)[0]);
}

/** @internal */
export function childOf(graph: ObjectGraph, node: number, name: string): number | undefined {
  for (const { nodeId, localName } of childrenOf(graph, node)) if (localName === name) return nodeId;
  return undefined;
}

/** @internal */
export function keyOf(graph: ObjectGraph, node: number, attribute: string): string | undefined {
  const row = attributeRow(graph, node, attribute);
  return row < 0 ? undefined : graph.attributeKeys.at(row);
}

async function reading<T>(
  prefix: string,
  use: (reader: CheckpointReader, graph: ObjectGraph | undefined) => Promise<T>,
): Promise<T> {
  const reader = await loadCheckpoint(prefix);
  try {
    if (!reader.hasTensor(OBJECT_GRAPH_KEY)) return await use(reader, undefined);
    const { data } = await reader.getTensor(OBJECT_GRAPH_KEY);
    const graph = await promiseOf(decodeObjectGraph((data as Uint8Array[])[0]!, prefix, new ShortTurns()));
    return await use(reader, graph);
  } finally {
    await reader.close();
  }
}
