import { Checkpoint, type ReadOptions } from '../checkpoint/index.ts';
import { optionsObject } from '../checkpoint/option-checks.ts';
import { CheckpointError, isCheckpointError } from '../errors.ts';
import { resolvePrefix } from '../manager/latest.ts';
import { tfjs } from './adapter.ts';
import { findModel } from './describe.ts';
import { loadArtifacts } from './router.ts';
import type { TensorFlowJs } from './types.ts';
import { NAMED_WEIGHTS } from './weight-paths.ts';

/** A `tf` with layers, that builds models. */
export interface TensorFlowJsModels extends TensorFlowJs {
  loadLayersModel(handler: never, options?: never): Promise<object>;
}

/** Options of {@link loadModel}. */
export interface LoadModelOptions {
  /** Path of the model in the checkpoint, as `describeCheckpoint` tells it. Default: the only one there is. */
  model?: string;
  /**
   * Compile it as it was compiled when it was saved, and restore its optimizer, so that training can go on.
   *
   * @default true
   */
  compile?: boolean;
  /** How to read. */
  read?: ReadOptions;
}

/** What `loadModel` gives: the `LayersModel` of the user's own tf. */
export type LoadedModel<T extends TensorFlowJsModels> = Awaited<ReturnType<T['loadLayersModel']>>;

/**
 * Builds a model from a checkpoint alone, and restores it: layers, weights, optimizer. Classes of your own must be
 * registered with `tf.serialization.registerClass`, as for `tf.loadLayersModel`.
 *
 * @param tf Your own module.
 * @param prefixOrDirectory A checkpoint with a tfjs model in it, or a directory whose latest is meant.
 * @throws CheckpointError NOT_FOUND: no such checkpoint, or nothing in it says what the model is. UNSUPPORTED: your tf
 *   can't build it. What a restore throws.
 * @example
 * ```ts
 * const model = await loadModel(tf, './run');
 * ```
 */
export async function loadModel<T extends TensorFlowJsModels>(
  tf: T,
  prefixOrDirectory: string,
  options: LoadModelOptions = {},
): Promise<LoadedModel<T>> {
  const names = new Set<keyof LoadModelOptions & string>(['model', 'compile', 'read']);
  const { model: at, compile = true, read } = optionsObject(options, names, 'loadModel') as LoadModelOptions;
  const adapter = tfjs(tf);
  const prefix = await resolvePrefix(prefixOrDirectory);
  const { path, topology } = await findModel(prefix, at, 'loadModel');
  if (topology.weights.some((weight) => weight.path[0] === NAMED_WEIGHTS)) {
    // Imported, or saved by TensorFlow.js's own interface: its loader knows the names.
    const { trainingConfig, ...artifacts } = (await loadArtifacts(prefix, at)) as { trainingConfig?: object };
    return (await build(
      tf,
      compile && trainingConfig ? { ...artifacts, trainingConfig } : artifacts,
      prefix,
    )) as LoadedModel<T>;
  }
  const { trainingConfig, ...rest } = topology;
  const model = await build(tf, compile && trainingConfig !== undefined ? topology : rest, prefix);
  const root = [...path].reverse().reduce<unknown>((value, name) => ({ [name]: value }), model);
  try {
    const status = await new Checkpoint(root as Record<string, unknown>, { adapters: [adapter] }).read(prefix, read);
    status.assertExistingObjectsMatched().expectPartial();
  } catch (error) {
    (model as { dispose?(): void }).dispose?.();
    throw error;
  }
  return model as LoadedModel<T>;
}

async function build(tf: TensorFlowJsModels, artifacts: object, prefix: string): Promise<object> {
  try {
    return await tf.loadLayersModel({ load: async () => artifacts } as never);
  } catch (cause) {
    if (isCheckpointError(cause)) throw cause;
    const message = cause instanceof Error ? cause.message : String(cause);
    const hint =
      'trainingConfig' in artifacts ? ' With { compile: false } the model is built without its optimizer.' : '';
    throw new CheckpointError('UNSUPPORTED', `TensorFlow.js can't build the model of ${prefix}: ${message}${hint}`, {
      path: prefix,
      cause,
    });
  }
}
