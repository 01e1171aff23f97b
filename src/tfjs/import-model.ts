import { dirname, join, resolve } from 'node:path';
import { LoadBuilder } from '../bundle/load-builder.ts';
import { absolutePrefix } from '../checkpoint/checkpoint.ts';
import { attributeKey, childPath, VARIABLE_VALUE } from '../checkpoint/keys.ts';
import { optionsObject } from '../checkpoint/option-checks.ts';
import { CheckpointError, describeValue, invalidArgument } from '../errors.ts';
import { readFile, stat } from '../native/engine.ts';
import {
  type Artifacts,
  checkArtifacts,
  importedModelNode,
  node,
  type WeightSpec,
  weightSpecs,
} from './imported-model.ts';
import { writeStreamed } from './streamed-write.ts';
import { NAMED_WEIGHTS } from './weight-paths.ts';

/** Options of {@link importTfjsModel}. */
export interface ImportTfjsModelOptions {
  /**
   * Name of the model in the checkpoint: that of `new Checkpoint({ model })`.
   *
   * @default 'model'
   */
  model?: string;
  signal?: AbortSignal;
}

const MODEL_JSON = 'model.json';
/** A topology of this size would be no topology. */
const MAX_JSON_BYTES = 512 * 2 ** 20;

/** A run of a weight's bytes in a weight file. */
interface Run {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * Makes a checkpoint of TensorFlow.js's model.json and its weight files: of `model.save('file://…')`, of the converter's
 * `tfjs_layers_model`, or of `exportTfjsModel`. It needs neither a model nor tf, and about 256 MiB of memory, or that of
 * the largest weight. `loadModel` builds the model from it; a `Checkpoint({ model })` restores it too, if the model's
 * layers have the names that they have in the model.json.
 *
 * An optimizer's state in it (`includeOptimizer`) is left out.
 *
 * @param path The model.json, or its directory.
 * @param prefix Where there is no checkpoint yet.
 * @returns the prefix, absolute.
 * @throws CheckpointError NOT_FOUND, DATA_LOSS (weight files that are too short or too long), UNSUPPORTED (a graph
 *   model, quantized weights), INVALID_ARGUMENT, NO_SPACE, IO_ERROR, ABORTED. Nothing is left at `prefix`.
 * @example
 * ```ts
 * const model = await loadModel(tf, await importTfjsModel('./pretrained', './run/ckpt-0'));
 * ```
 */
export async function importTfjsModel(
  path: string,
  prefix: string,
  options: ImportTfjsModelOptions = {},
): Promise<string> {
  const what = 'importTfjsModel';
  const names = new Set<keyof ImportTfjsModelOptions & string>(['model', 'signal']);
  const { model = 'model', signal } = optionsObject(options, names, what) as ImportTfjsModelOptions;
  if (typeof model !== 'string' || model === '') {
    throw invalidArgument(`${what}: model must be a name, not ${describeValue(model)}.`);
  }
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw invalidArgument(`${what}: path must be that of a model.json, not ${describeValue(path)}.`);
  }
  const to = absolutePrefix(prefix, what);
  const found = await stat(resolve(path));
  const file = found?.isDirectory ? join(resolve(path), MODEL_JSON) : resolve(path);
  const { artifacts, manifest } = await readModelJson(file, what);
  checkArtifacts(artifacts, what);
  const { weights, runs } = await locate(manifest, file, what);
  const keys = new Map<string, WeightSpec>();
  const tree = importedModelNode({ ...artifacts, trainingConfig: undefined }, weights, ({ byteLength }) => ({
    kind: 'address',
    address: 0,
    byteLength,
  }));
  const root = node('Checkpoint', [[model, tree]]);
  for (const weight of weights)
    keys.set(attributeKey([model, NAMED_WEIGHTS, weight.name].reduce(childPath, ''), VARIABLE_VALUE), weight);
  await writeStreamed(
    to,
    root,
    async (tensors) => {
      const loader = new LoadBuilder();
      for (const { key, into } of tensors) {
        loader.tensor({ key }, null);
        let at = 0;
        for (const run of runs.get(keys.get(key)!)!) {
          loader.extent(run.path, run.offset, run.bytes, into, at);
          at += run.bytes;
        }
      }
      await loader.run({ signal });
    },
    signal,
  );
  return to;
}

async function readModelJson(file: string, what: string): Promise<{ artifacts: Artifacts; manifest: unknown }> {
  const bytes = await readFile(file, MAX_JSON_BYTES);
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new CheckpointError('DATA_LOSS', `${what}: ${file} is no JSON.`, { path: file, cause });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new CheckpointError('DATA_LOSS', `${what}: ${file} is no model.json.`, { path: file });
  }
  return { artifacts: parsed, manifest: (parsed as { weightsManifest?: unknown }).weightsManifest };
}

/** Which bytes of which files each weight is: a group's files one after the other are its weights one after the other. */
async function locate(
  manifest: unknown,
  file: string,
  what: string,
): Promise<{ weights: WeightSpec[]; runs: Map<WeightSpec, Run[]> }> {
  if (!Array.isArray(manifest)) {
    throw new CheckpointError('DATA_LOSS', `${what}: ${file} has no weightsManifest.`, { path: file });
  }
  const groups = manifest.map((group: unknown) => (group ?? {}) as { paths?: unknown; weights?: unknown });
  // Together: names must differ across groups too.
  const all = weightSpecs(
    groups.flatMap(({ weights }) => (Array.isArray(weights) ? weights : [null])),
    what,
  );
  const runs = new Map<WeightSpec, Run[]>();
  let next = 0;
  for (const { paths, weights } of groups) {
    const specs = all.slice(next, next + (weights as unknown[]).length);
    next += specs.length;
    const files = await sizesOf(paths, dirname(file), what);
    const total = files.reduce((sum, { size }) => sum + size, 0);
    const needed = specs.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (total !== needed) {
      const shown = files.map(({ path }) => path).join(', ') || 'no files';
      throw new CheckpointError(
        'DATA_LOSS',
        `${what}: the weights of ${file} take ${needed} bytes, and ${shown} have ${total}.`,
        {
          path: files[0]?.path ?? file,
        },
      );
    }
    let [at, offset] = [0, 0];
    for (const spec of specs) {
      const own: Run[] = [];
      for (let left = spec.byteLength; left > 0; ) {
        const { path, size } = files[at]!;
        const bytes = Math.min(left, size - offset);
        if (bytes > 0) own.push({ path, offset, bytes });
        left -= bytes;
        offset += bytes;
        if (offset === size) [at, offset] = [at + 1, 0];
      }
      runs.set(spec, own);
    }
  }
  return { weights: all.filter(({ group }) => group !== 'optimizer'), runs };
}

async function sizesOf(paths: unknown, directory: string, what: string): Promise<{ path: string; size: number }[]> {
  if (!Array.isArray(paths)) throw new CheckpointError('DATA_LOSS', `${what}: a group of weights names no files.`);
  return await Promise.all(
    paths.map(async (name: unknown) => {
      // A model.json may come from anywhere: it names files beside it, and no others.
      if (
        typeof name !== 'string' ||
        name === '' ||
        name.includes('\0') ||
        name.startsWith('/') ||
        name.split('/').includes('..')
      ) {
        throw new CheckpointError('DATA_LOSS', `${what}: ${describeValue(name)} is no file beside the model.json.`);
      }
      const path = join(directory, name);
      const found = await stat(path);
      if (found === null || found.isDirectory) {
        throw new CheckpointError('NOT_FOUND', `${what}: the weight file ${path} is missing.`, { path });
      }
      return { path, size: found.size };
    }),
  );
}
