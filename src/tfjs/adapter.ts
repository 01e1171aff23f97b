import type { Adapter, TensorPath, TrackableNode } from '../checkpoint/trackable.ts';
import { containerNode, looseTensorNode } from './container.ts';
import { layerNode } from './layer.ts';
import { modelNode, optimizerOf, trainedVariables } from './model.ts';
import { optimizerNode } from './optimizer.ts';
import { Part, Parts } from './part.ts';
import { Runtime } from './runtime.ts';
import { Freezer } from './snapshot.ts';
import type { TensorFlowJs, TfLayersModel, TfOptimizer } from './types.ts';
import { variableNode } from './variable.ts';

/** What `tfjs(tf)` gives. */
export interface TfjsAdapter extends Adapter {
  /**
   * `borrow`: the memory of tfjs-node's tensors is written and replaced as it is. `device`: that of tfjs-node-gpu's is,
   * on its GPU. `data`: tensors are read by `data()` and made by `tf.tensor()`. It follows the backend that is in use.
   */
  readonly path: TensorPath;
  /** Why `path` is `data`; null where it isn't. */
  readonly pathReason: string | null;
}

/**
 * Teaches a Checkpoint about the objects of your TensorFlow.js: `LayersModel` and `Sequential` with the optimizer they
 * are compiled with, layers, optimizers (sgd, momentum, adam, adamax, rmsprop, adagrad, adadelta, and classes of your own
 * with `getWeights()` and `setWeights()`), `tf.Variable`, and tensors held in objects or arrays.
 *
 * Objects are known by their place, not by their names, which differ from process to process. Local names are those
 * of Keras 3 where they correspond. A restored optimizer continues to the bit: Adam's running beta powers are saved,
 * and a fresh optimizer gets its slots before its first step.
 *
 * - saving: TensorFlow (tfjs-node) lends the memory of its tensors, and the cpu backend's own memory is the source: the
 *   snapshot is complete, and the save under way, before `save()` returns, without a copy. On other backends a reference
 *   to each buffer is taken at once, and the bytes follow one tensor at a time. Training may go on in every case. No
 *   tensor is left behind. `path` says which way is taken.
 * - restoring: variables are assigned a new tensor, in tfjs-node one in the memory that was read into; a tensor in an
 *   object or array is replaced there, and disposed.
 *
 * What a model is (layers, shapes, compile options, metadata) is stored beside: `describeCheckpoint()` tells it, and
 * `loadModel()` builds the model from it. A restore into a model that exists leaves it as it is. Not saved: the state of
 * random generators. `Dropout` without a seed draws from Math.random().
 *
 * @param tf Your own module: `import * as tf from '@tensorflow/tfjs'` (or tfjs-node, tfjs-core). None is imported here.
 * @throws CheckpointError INVALID_ARGUMENT if `tf` isn't TensorFlow.js.
 * @example
 * ```ts
 * const checkpoint = new Checkpoint({ model, step }, { adapters: [tfjs(tf)] });
 * ```
 */
export function tfjs(tf: TensorFlowJs): TfjsAdapter {
  const runtime = new Runtime(tf);
  const freezer = new Freezer(runtime);
  const parts = new Parts();
  const nodes = new WeakMap<object, TrackableNode>();
  /** The model that an optimizer trains, as far as one was seen. */
  const models = new WeakMap<TfOptimizer, TfLayersModel>();

  function make(value: object): TrackableNode | undefined {
    if (runtime.isVariable(value)) return variableNode(value, runtime, freezer);
    if (runtime.isTensor(value)) return looseTensorNode(value, runtime, freezer);
    if (runtime.isModel(value)) return modelNode(value, parts, runtime, (child) => adapter.adapt(child));
    if (runtime.isLayer(value)) return layerNode(value, parts, runtime, freezer);
    if (runtime.isOptimizer(value)) {
      const trained = () => {
        const model = models.get(value);
        return model && trainedVariables(model);
      };
      return optimizerNode(value, trained, parts, runtime, freezer);
    }
    return undefined;
  }

  const adapter: TfjsAdapter = {
    name: 'tfjs',
    get path() {
      const link = runtime.links.current();
      if (typeof link === 'string') return 'data';
      return link.onGpu ? 'device' : 'borrow';
    },
    get pathReason() {
      const link = runtime.links.current();
      return typeof link === 'string' ? link : null;
    },
    adapt(value) {
      if (value instanceof Part) return value.node;
      if (typeof value !== 'object' || value === null) return undefined;
      if (runtime.isModel(value)) {
        const optimizer = optimizerOf(value);
        if (optimizer !== undefined) models.set(optimizer, value);
      }
      const known = nodes.get(value) ?? make(value);
      // What a container holds may change from one call to the next.
      if (known === undefined) return containerNode(value, parts, runtime, freezer);
      nodes.set(value, known);
      return known;
    },
  };
  return adapter;
}
