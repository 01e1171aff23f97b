import { CheckpointError, invalidArgument } from '../errors.ts';
import type { DType } from '../tensor/dtypes.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { Exchange } from './exchange.ts';
import { TensorFlowLinks } from './node-backend.ts';
import { isProvided, type PlacedTensor, Placement, provide } from './provide.ts';
import type { TensorFlowJs, TfDType, TfLayer, TfLayersModel, TfOptimizer, TfTensor, TfVariable } from './types.ts';

type Class = abstract new (...args: never[]) => object;

const REQUIRED = ['getBackend', 'keep', 'tensor', 'zeros', 'variable', 'complex', 'mul'] as const;
const CLASSES = ['Tensor', 'Variable', 'Optimizer'] as const;

/**
 * The user's copy of TensorFlow.js: which objects are its own, and how its tensors are made. Registries, classes and
 * backends are per copy, so that every adapter has its own.
 */
export class Runtime {
  readonly #tf: TensorFlowJs;
  readonly #layer: Class | undefined;
  readonly #model: Class | undefined;
  readonly #sequential: Class | undefined;
  /** The way to the memory of tfjs-node's tensors, where there is one. */
  readonly links: TensorFlowLinks;
  /** The way by which restored tensors take the place of others. */
  readonly exchange: Exchange = new Exchange(this);
  readonly #placement: Placement;

  /** @throws CheckpointError INVALID_ARGUMENT if `tf` lacks what is needed. */
  constructor(tf: TensorFlowJs) {
    if ((typeof tf !== 'object' && typeof tf !== 'function') || tf === null) {
      throw invalidArgument(`tfjs(tf) takes your TensorFlow.js module, given ${tf === null ? 'null' : typeof tf}.`);
    }
    const missing: string[] = [
      ...REQUIRED.filter((name) => typeof tf[name] !== 'function'),
      ...CLASSES.filter((name) => typeof tf[name] !== 'function'),
    ];
    if (missing.length > 0) {
      throw invalidArgument(
        `tfjs(tf) takes your TensorFlow.js module (import * as tf from '@tensorflow/tfjs'); the object given has no ${missing.join(', ')}.`,
      );
    }
    this.#tf = tf;
    this.links = new TensorFlowLinks(tf);
    this.#placement = new Placement(this.links);
    this.#model = classOrUndefined(tf.LayersModel);
    this.#sequential = classOrUndefined(tf.Sequential);
    this.#layer = classOrUndefined((tf.layers as { Layer?: unknown } | undefined)?.Layer);
  }

  // instanceof of Tensor, Variable and Optimizer is duck typing in tfjs (Symbol.hasInstance), and true for those of
  // another copy as well. Reading and assigning go through the object's own methods, so that is harmless.
  isTensor(value: object): value is TfTensor {
    return value instanceof (this.#tf.Tensor as Class);
  }

  isVariable(value: object): value is TfVariable {
    return value instanceof (this.#tf.Variable as Class);
  }

  isOptimizer(value: object): value is TfOptimizer {
    return value instanceof (this.#tf.Optimizer as Class);
  }

  isLayer(value: unknown): value is TfLayer {
    return this.#layer !== undefined && value instanceof this.#layer;
  }

  isModel(value: unknown): value is TfLayersModel {
    return this.#model !== undefined && value instanceof this.#model;
  }

  isSequential(value: unknown): boolean {
    return this.#sequential !== undefined && value instanceof this.#sequential;
  }

  /**
   * Whether tensors can be read at once and without a copy: the CPU backend hands out the values that it computes
   * with, and no tensor is changed in place. Other backends copy, or wait for a device.
   */
  get readsInPlace(): boolean {
    return this.#tf.getBackend() === 'cpu';
  }

  /** A reference of its own to the tensor's present value, which lives through tf.tidy until it is disposed. */
  freeze(tensor: TfTensor): TfTensor {
    return this.#tf.keep(tensor.clone() as never) as TfTensor;
  }

  /** A variable of zeros that isn't trained. */
  zeros(shape: readonly number[], dtype: string): TfVariable {
    return this.#variable(this.#tf.zeros([...shape] as never, dtype as never) as TfTensor);
  }

  /** A variable that isn't trained, every element `value`. */
  full(shape: readonly number[], value: number): TfVariable {
    const count = shape.reduce((product, dimension) => product * dimension, 1);
    return this.#variable(this.#tensor(new Float32Array(count).fill(value), shape, 'float32'));
  }

  /** `tensor × factor`, which lives through tf.tidy until it is disposed. */
  scaled(tensor: TfTensor, factor: number): TfTensor {
    const by = this.scalar(factor);
    try {
      return this.#kept(this.#tf.mul(tensor as never, by as never) as TfTensor);
    } finally {
      by.dispose();
    }
  }

  scalar(value: number): TfTensor {
    return this.#tensor(Float32Array.of(value), [], 'float32');
  }

  integer(value: number): TfTensor {
    return this.#tensor(Int32Array.of(value), [], 'int32');
  }

  #variable(initial: TfTensor): TfVariable {
    try {
      return this.#tf.variable(initial as never, false) as TfVariable;
    } finally {
      initial.dispose();
    }
  }

  /** Whether {@link toTensor} hands memory with values of this type over to TensorFlow. */
  adopts(dtype: DType): boolean {
    const link = this.links.current();
    return typeof link !== 'string' && isProvided(link, dtype);
  }

  /** A tensor on TensorFlow's GPU, whose memory is to be filled; undefined where there is none for it. */
  place(dtype: DType, shape: readonly number[]): PlacedTensor | undefined {
    const placed = this.#placement.place(dtype, shape);
    if (placed !== undefined) this.#kept(placed.tensor);
    return placed;
  }

  /** A tensor over the memory of `value`, which is handed over. */
  toTensor(value: HostTensor): TfTensor {
    const link = this.links.current();
    const provided = typeof link === 'string' ? undefined : provide(link, value, this.links);
    if (provided !== undefined) return this.#kept(provided);
    const { shape } = value;
    switch (value.dtype) {
      case 'float32':
      case 'int32':
      case 'bool':
        return this.#kept(this.#tensor(value.data, shape, value.dtype));
      case 'string':
        return this.#kept(this.#tensor(value.data, shape, 'string'));
      case 'complex64': {
        const pairs = value.data as Float32Array;
        const count = pairs.length / 2;
        const parts = [0, 1].map((lane) => {
          const part = Float32Array.from({ length: count }, (_, i) => pairs[2 * i + lane]!);
          return this.#tensor(part, shape, 'float32');
        });
        const complex = this.#tf.complex(parts[0] as never, parts[1] as never) as TfTensor;
        for (const part of parts) part.dispose();
        return this.#kept(complex);
      }
      default:
        throw new CheckpointError('UNSUPPORTED', `TensorFlow.js has no tensors of dtype ${value.dtype}.`);
    }
  }

  #tensor(values: unknown, shape: readonly number[], dtype: TfDType): TfTensor {
    return this.#tf.tensor(values as never, [...shape] as never, dtype as never) as TfTensor;
  }

  #kept(tensor: TfTensor): TfTensor {
    return this.#tf.keep(tensor as never) as TfTensor;
  }
}

/** The bundle's dtype of a tensor: TensorFlow.js uses TensorFlow's names. */
export function dtypeOf(tensor: TfTensor): DType {
  switch (tensor.dtype) {
    case 'float32':
    case 'int32':
    case 'bool':
    case 'complex64':
    case 'string':
      return tensor.dtype;
    default:
      throw new CheckpointError('UNSUPPORTED', `A TensorFlow.js tensor of dtype ${tensor.dtype} can't be saved.`);
  }
}

function classOrUndefined(value: unknown): Class | undefined {
  return typeof value === 'function' ? (value as Class) : undefined;
}
