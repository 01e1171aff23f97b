import { type Bundle, type BundleEntryInfo, openBundle } from '../bundle/index.ts';
import { decodeObjectGraph } from '../checkpoint/decode-object-graph.ts';
import { OBJECT_GRAPH_KEY, VARIABLE_VALUE } from '../checkpoint/index.ts';
import { CheckpointError } from '../errors.ts';
import { promiseOf, ShortTurns } from '../steps.ts';
import { childOf, findModel, keyOf, type ModelTopology } from './describe.ts';

/** A weight of a stored model, by TensorFlow.js's name. */
export interface StoredWeight {
  readonly name: string;
  readonly key: string;
  readonly entry: BundleEntryInfo;
  readonly group?: string;
}

/** A stored model: what it is, and where its weights are. */
export interface StoredModel {
  readonly bundle: Bundle;
  readonly topology: ModelTopology;
  readonly weights: readonly StoredWeight[];
}

/** dtypes that a model.json can have; their bytes are those of the checkpoint. */
const DTYPES: ReadonlySet<string> = new Set(['float32', 'int32', 'bool', 'complex64']);

/**
 * Finds the weights of a model in a checkpoint, without reading them.
 *
 * @throws CheckpointError as modelTopology(); UNSUPPORTED for weights that a model.json can't hold.
 */
export async function openStoredModel(prefix: string, model: string | undefined, what: string): Promise<StoredModel> {
  const { path, topology } = await findModel(prefix, model, what);
  const bundle = await openBundle(prefix);
  const { data } = await bundle.readTensor(OBJECT_GRAPH_KEY);
  const graph = await promiseOf(decodeObjectGraph((data as Uint8Array[])[0]!, prefix, new ShortTurns()));
  const below = (from: number | undefined, path: readonly string[]) =>
    path.reduce<number | undefined>((at, name) => (at === undefined ? undefined : childOf(graph, at, name)), from);
  const root = below(0, path);
  const weights = topology.weights.map(({ name, path: way, group }): StoredWeight => {
    const at = below(root, way);
    const key = at === undefined ? undefined : keyOf(graph, at, VARIABLE_VALUE);
    if (key === undefined || !bundle.has(key)) {
      throw new CheckpointError('DATA_LOSS', `${prefix} says that its model has a weight '${name}', and holds none.`, {
        path: prefix,
      });
    }
    const entry = bundle.info(key);
    if (!DTYPES.has(entry.dtype)) {
      const held = [...DTYPES].join(', ');
      throw new CheckpointError(
        'UNSUPPORTED',
        `${what}: the weight '${name}' is stored as ${entry.dtype}; a TensorFlow.js model holds ${held}.`,
        { path: prefix, key },
      );
    }
    return { name, key, entry, group };
  });
  const names = new Set<string>();
  for (const { name } of weights) {
    if (names.has(name)) {
      throw new CheckpointError(
        'UNSUPPORTED',
        `${what}: two weights of the model are called '${name}', and TensorFlow.js knows weights by name. Name the layers differently.`,
        { path: prefix },
      );
    }
    names.add(name);
  }
  return { bundle, topology, weights };
}
