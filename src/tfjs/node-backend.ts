import { cudaProblem } from '../native/cuda.ts';
import { findTensorFlow, type TensorFlowRuntimeInfo } from '../native/tensorflow.ts';
import type { TensorFlowJs, TfTensor } from './types.ts';

/**
 * What is used of NodeJSKernelBackend, the backend of tfjs-node and tfjs-node-gpu 4.22. `tensorMap` and `binding` are
 * its own, though public; an op that tfjs has no kernel for can be executed in no other way.
 */
export interface NodeBackend {
  readonly isUsingGpuDevice: boolean;
  readonly binding: { readonly TF_ATTR_INT: number; readonly TF_ATTR_TYPE: number };
  /**
   * `dtype` is TensorFlow's DataType number, which tfjs's own dtype doesn't always tell (int64 is called int32). `values`
   * is the array that a tensor was made over, as long as no op has used it; then null.
   */
  readonly tensorMap: { get(dataId: object): { readonly dtype: number; readonly values: unknown } };
  executeMultipleOutputs(name: string, attributes: OpAttribute[], inputs: TfTensor[], outputs: number): TfTensor[];
  /** A copy of the values, or the array that a tensor was made over, as long as no op has used it. */
  readSync(dataId: object): unknown;
}

interface OpAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: number;
}

/** tfjs-node's backend and the runtime behind it, with our ops in it. */
export interface TensorFlowLink {
  readonly backend: NodeBackend;
  readonly runtime: TensorFlowRuntimeInfo;
  /** Tensors lie on a CUDA device, but for int32 and strings. */
  readonly onGpu: boolean;
}

/**
 * Finds the runtime behind the backend that is in use. Each backend is asked once; which backend is in use may change
 * at any time.
 */
export class TensorFlowLinks {
  readonly #tf: TensorFlowJs;
  readonly #known = new WeakMap<object, TensorFlowLink | string>();

  constructor(tf: TensorFlowJs) {
    this.#tf = tf;
  }

  /** The link, or the reason why tensors are read and made by tfjs's own methods. */
  current(): TensorFlowLink | string {
    const name = this.#tf.getBackend();
    if (name !== 'tensorflow') return `the backend is ${name}`;
    const backend = this.#tf.backend?.();
    if (typeof backend !== 'object' || backend === null) return 'this tf has no backend()';
    let known = this.#known.get(backend);
    if (known === undefined) {
      known = linkTo(backend);
      this.#known.set(backend, known);
    }
    return known;
  }

  /** From now on this backend's tensors are read and made by tfjs's own methods. */
  giveUp(link: TensorFlowLink, reason: string): void {
    this.#known.set(link.backend, reason);
  }
}

/** Executes one of our ops: `count` tensors of one type, in or out. */
export function execute(
  { backend }: TensorFlowLink,
  op: string,
  type: number,
  count: number,
  inputs: TfTensor[],
  outputs: number,
): TfTensor[] {
  const { TF_ATTR_INT, TF_ATTR_TYPE } = backend.binding;
  const attributes = [
    { name: 'N', type: TF_ATTR_INT, value: count },
    { name: 'T', type: TF_ATTR_TYPE, value: type },
  ];
  return backend.executeMultipleOutputs(op, attributes, inputs, outputs);
}

function linkTo(backend: object): TensorFlowLink | string {
  if (!isNodeBackend(backend)) return 'this tensorflow backend is not that of tfjs-node 4';
  const onGpu = backend.isUsingGpuDevice;
  const problem = onGpu ? cudaProblem() : null;
  if (problem !== null) return `the tensors are on a GPU, and ${problem.message}`;
  const runtime = findTensorFlow();
  return typeof runtime === 'string' ? runtime : { backend, runtime, onGpu };
}

function isNodeBackend(backend: object): backend is NodeBackend {
  const { binding, tensorMap, executeMultipleOutputs, readSync, isUsingGpuDevice } = backend as Partial<NodeBackend>;
  return (
    typeof binding?.TF_ATTR_INT === 'number' &&
    typeof binding.TF_ATTR_TYPE === 'number' &&
    typeof tensorMap?.get === 'function' &&
    typeof executeMultipleOutputs === 'function' &&
    typeof readSync === 'function' &&
    typeof isUsingGpuDevice === 'boolean'
  );
}
