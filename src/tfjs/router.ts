import { basename, resolve } from 'node:path';
import { Checkpoint } from '../checkpoint/index.ts';
import { optionsObject } from '../checkpoint/option-checks.ts';
import type { Adapter } from '../checkpoint/trackable.ts';
import { CheckpointError, describeValue, invalidArgument } from '../errors.ts';
import { CheckpointManager, latestCheckpoint } from '../manager/index.ts';
import { numberOf } from '../manager/inventory.ts';
import { resolvePrefix } from '../manager/latest.ts';
import { type Artifacts, checkArtifacts, importedModelNode, type WeightSpec, weightSpecs } from './imported-model.ts';
import { openStoredModel } from './stored-weights.ts';

/** A `tf` whose registries of models' places can be added to. */
export interface TensorFlowJsIo {
  readonly io: {
    registerSaveRouter(router: never): void;
    registerLoadRouter(router: never): void;
    getSaveHandlers(url: never): unknown[];
    getModelArtifactsInfoForJSON(artifacts: never): unknown;
  };
}

/** Options of {@link registerCheckpointRouter}. */
export interface CheckpointRouterOptions {
  /**
   * Checkpoints that a save leaves in its directory, itself included; null: all.
   *
   * @default null
   */
  maxToKeep?: number | null;
}

/** tfjs's ModelArtifacts, as far as they are used. */
interface ModelArtifacts extends Artifacts {
  readonly weightSpecs?: unknown;
  readonly weightData?: ArrayBuffer | ArrayBuffer[];
}

const SCHEME = 'ckpt://';
const NAME = 'ckpt';
const MODEL = 'model';

/**
 * Teaches your TensorFlow.js the scheme `ckpt://`: `model.save('ckpt://run')` saves the next checkpoint of the directory
 * `run`, and `tf.loadLayersModel('ckpt://run')` loads its latest; `ckpt:///abs/run/ckpt-3` is a single one. A save is
 * crash-safe, as every save of this package is.
 *
 * TensorFlow.js's own interface sets the limits: `model.save` joins all weights in one ArrayBuffer, twice with
 * `includeOptimizer` (above 4 GiB it throws in Node 20, before it asks anybody), and copies them on the JavaScript
 * thread; `tf.loadLayersModel` holds the weights twice. The weights are stored under TensorFlow.js's names, which Python
 * doesn't know. `new Checkpoint({ model })` and {@link loadModel} have none of these limits, and read what was saved
 * here. Of a checkpoint that they saved, `tf.loadLayersModel('ckpt://…')` gives the model without its optimizer.
 *
 * Calling it again changes nothing.
 *
 * @param tf Your own module.
 * @throws CheckpointError INVALID_ARGUMENT
 * @example
 * ```ts
 * registerCheckpointRouter(tf);
 * await model.save('ckpt://run');
 * const loaded = await tf.loadLayersModel('ckpt://run');
 * ```
 */
export function registerCheckpointRouter(tf: TensorFlowJsIo, options: CheckpointRouterOptions = {}): void {
  const what = 'registerCheckpointRouter';
  const { maxToKeep = null } = optionsObject(options, new Set(['maxToKeep']), what) as CheckpointRouterOptions;
  if (maxToKeep !== null && (!Number.isSafeInteger(maxToKeep) || maxToKeep < 1)) {
    throw invalidArgument(`${what}: maxToKeep must be null or at least 1, not ${describeValue(maxToKeep)}.`);
  }
  const io = (tf as Partial<TensorFlowJsIo> | null)?.io;
  if (typeof io?.registerSaveRouter !== 'function' || typeof io.registerLoadRouter !== 'function') {
    throw invalidArgument(`${what}(tf) takes your TensorFlow.js module; the one given has no io.registerSaveRouter.`);
  }
  // The registry belongs to the copy of TensorFlow.js, and refuses to choose between two.
  if (io.getSaveHandlers(`${SCHEME}.` as never).length > 0) return;
  const handlerOf = (url: unknown) => {
    const single = Array.isArray(url) && url.length === 1 ? url[0] : url;
    if (typeof single !== 'string' || !single.startsWith(SCHEME)) return null;
    const path = resolve(single.slice(SCHEME.length) || '.');
    return {
      save: async (artifacts: ModelArtifacts) => {
        await save(path, artifacts, maxToKeep);
        return { modelArtifactsInfo: io.getModelArtifactsInfoForJSON(artifacts as never) };
      },
      load: async () => await loadArtifacts(path),
    };
  };
  io.registerSaveRouter(handlerOf as never);
  io.registerLoadRouter(handlerOf as never);
}

async function save(directory: string, artifacts: ModelArtifacts, maxToKeep: number | null): Promise<void> {
  const what = `model.save('${SCHEME}…')`;
  checkArtifacts(artifacts, what);
  const weights = weightSpecs(artifacts.weightSpecs ?? [], what);
  const data = new JoinedBuffers(artifacts.weightData ?? []);
  const ranges = new Map<WeightSpec, Uint8Array>();
  let at = 0;
  for (const weight of weights) {
    ranges.set(weight, data.bytes(at, weight.byteLength));
    at += weight.byteLength;
  }
  const node = importedModelNode(artifacts, weights, (weight) => ({ kind: 'memory', bytes: ranges.get(weight)! }));
  const known: Adapter = { name: 'imported model', adapt: (value) => (isNode(value) ? value : undefined) };
  const checkpoint = new Checkpoint({ [MODEL]: node }, { adapters: [known] });
  const manager = new CheckpointManager(checkpoint, { directory, maxToKeep, checkpointName: NAME });
  try {
    const latest = await latestCheckpoint(directory);
    const number = latest === null ? 0 : (numberOf(basename(latest), NAME) ?? 0);
    await manager.save({ checkpointNumber: number + 1 });
  } finally {
    await manager.close();
  }
}

function isNode(value: unknown): value is ReturnType<typeof importedModelNode> {
  return typeof (value as { identity?: unknown } | null)?.identity === 'object';
}

/** Buffers one after the other, as one; a range that lies in one of them isn't copied. */
class JoinedBuffers {
  readonly #buffers: readonly ArrayBuffer[];

  constructor(given: ArrayBuffer | ArrayBuffer[]) {
    this.#buffers = Array.isArray(given) ? given : [given];
  }

  /** @throws CheckpointError DATA_LOSS if there are fewer. */
  bytes(start: number, length: number): Uint8Array {
    const parts: Uint8Array[] = [];
    let [left, begin] = [length, 0];
    for (const buffer of this.#buffers) {
      const from = Math.max(0, start + length - left - begin);
      const count = Math.min(left, buffer.byteLength - from);
      if (left > 0 && from < buffer.byteLength) {
        parts.push(new Uint8Array(buffer, from, count));
        left -= count;
      }
      begin += buffer.byteLength;
    }
    if (left > 0) {
      throw new CheckpointError('DATA_LOSS', `The weights are ${begin} bytes long, fewer than their shapes say.`);
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }
}

/**
 * tfjs's ModelArtifacts of a stored model, with a buffer for each weight rather than one for all.
 *
 * @internal also for loadModel.
 */
export async function loadArtifacts(prefixOrDirectory: string, model?: string): Promise<object> {
  const { bundle, topology, weights } = await openStoredModel(
    await resolvePrefix(prefixOrDirectory),
    model,
    `tf.loadLayersModel('${SCHEME}…')`,
  );
  const { modelTopology, format, generatedBy, trainingConfig, userDefinedMetadata } = topology;
  const tensors = await bundle.readTensors(weights.map(({ key }) => key));
  // Without its state an optimizer would begin anew, and nobody would know.
  const withOptimizer = weights.some(({ group }) => group === 'optimizer');
  return {
    modelTopology,
    format,
    generatedBy,
    convertedBy: null,
    ...(withOptimizer && trainingConfig !== undefined ? { trainingConfig } : {}),
    ...(userDefinedMetadata === undefined ? {} : { userDefinedMetadata }),
    weightSpecs: weights.map(({ name, entry: { shape, dtype }, group }) => {
      return { name, shape, dtype, ...(group === undefined ? {} : { group }) };
    }),
    weightData: weights
      .map(({ key }) => tensors.get(key)!)
      .filter(({ byteLength }) => byteLength > 0)
      .map(({ memory: { buffer, byteOffset, byteLength } }) =>
        byteOffset === 0 && byteLength === buffer.byteLength
          ? buffer
          : buffer.slice(byteOffset, byteOffset + byteLength),
      ),
  };
}
