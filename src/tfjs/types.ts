/**
 * What this package needs of TensorFlow.js, as structural types of its own: the user's `tf` is passed in, and a project
 * without TensorFlow.js's types compiles all the same. Authority: @tensorflow/tfjs 4.22.
 */

export type TfDType = 'float32' | 'int32' | 'bool' | 'complex64' | 'string';

/** A `tf.Tensor`. */
export interface TfTensor {
  readonly dtype: string;
  readonly shape: number[];
  readonly isDisposed: boolean;
  readonly dataId: object;
  clone(): TfTensor;
  data(): Promise<unknown>;
  dataSync(): unknown;
  bytes(): Promise<unknown>;
  dispose(): void;
}

/** A `tf.Variable`: a tensor whose buffer is swapped by `assign`. */
export interface TfVariable extends TfTensor {
  readonly name: string;
  assign(value: TfTensor): void;
}

/** The `LayerVariable` of tfjs-layers: a weight of a layer. */
export interface TfLayerVariable {
  readonly name: string;
  readonly originalName: string;
  read(): object;
}

/** A `tf.layers.Layer`. Fields that only some layers have are optional. */
export interface TfLayer {
  readonly name: string;
  readonly weights: readonly TfLayerVariable[];
  getClassName(): string;
}

/** A `tf.LayersModel` or `tf.Sequential`. */
export interface TfLayersModel extends TfLayer {
  readonly layers: readonly TfLayer[];
  toJSON(unused: null, returnString: boolean): unknown;
  getUserDefinedMetadata?(): object | undefined;
}

/** A `tf.Optimizer`. */
export interface TfOptimizer {
  readonly iterations: number;
  getClassName(): string;
  getConfig?(): object;
  getWeights?(): Promise<{ readonly name: string; readonly tensor: TfTensor }[]>;
  setWeights?(weights: { name: string; tensor: TfTensor }[]): Promise<void>;
}

/**
 * The user's `tf`: `import * as tf from '@tensorflow/tfjs'` (or tfjs-node, or tfjs-core alone for variables and
 * optimizers).
 */
export interface TensorFlowJs {
  readonly Tensor: unknown;
  readonly Variable: unknown;
  readonly Optimizer: unknown;
  /** Of tfjs-layers; without it, models aren't known. */
  readonly LayersModel?: unknown;
  readonly Sequential?: unknown;
  readonly layers?: object;
  getBackend(): string;
  /** Without it, tensors are read and made by their own methods. */
  backend?(): unknown;
  keep(tensor: never): object;
  tensor(values: never, shape?: never, dtype?: never): object;
  zeros(shape: never, dtype?: never): object;
  variable(initial: never, trainable?: boolean): object;
  complex(real: never, imag: never): object;
  mul(a: never, b: never): object;
}
