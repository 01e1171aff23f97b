import { invalidArgument } from '../../errors.ts';
import type { TensorFlowJs, TfLayersModel, TfOptimizer } from '../types.ts';

/** A `tf` with layers: its `Callback` is what model.fit() takes. */
export interface TensorFlowJsLayers extends TensorFlowJs {
  readonly Callback: abstract new (...args: never[]) => object;
  scalar(value: never): object;
  tidy(action: never): unknown;
}

/** A model while it is trained: with the fields of tfjs-layers' LayersModel that callbacks use. */
export interface FittedModel extends TfLayersModel {
  stopTraining: boolean;
  optimizer_: TfOptimizer;
}

/** What model.fit() and fitDataset() tell their callbacks; fields that are missing or null aren't known. */
export interface FitParams {
  readonly epochs?: number;
  /** Of fit() only. */
  readonly batchSize?: number | null;
  readonly doValidation?: boolean;
  /** Names of all that is logged, those of the validation last. */
  readonly metrics?: readonly string[];
}

/** Numbers and Scalars by name. */
export type RawLogs = Record<string, unknown>;

/** What happens in a training, in its order. Promises are waited for by the training. */
export interface FitListener {
  trainBegin(model: FittedModel, params: FitParams): Promise<void>;
  epochBegin(epoch: number): Promise<void>;
  batchBegin(batch: number): Promise<void>;
  batchEnd(batch: number, logs: RawLogs): Promise<void>;
  epochEnd(epoch: number, logs: RawLogs): Promise<void>;
  trainEnd(): Promise<void>;
  close(): Promise<void>;
}

/** A callback of tfjs that has files open while a training runs. */
export interface Closable {
  /** Only needed after a training that has thrown: waits for what is being saved and gives the directory up. */
  close(): Promise<void>;
}

/** A `tf.Callback`, of the class of the user's own tf, which is what model.fit() looks for. */
export function callbackFor<T extends TensorFlowJsLayers>(
  tf: T,
  what: string,
  listener: FitListener,
): InstanceType<T['Callback']> & Closable {
  if (typeof tf?.Callback !== 'function') {
    throw invalidArgument(
      `${what}(tf, …) takes your TensorFlow.js module with tf.layers: the one given has no Callback.`,
    );
  }
  const Base = tf.Callback as unknown as new () => object;
  class Listening extends Base {
    params: FitParams = {};
    model: FittedModel | null = null;

    setParams(params: FitParams): void {
      this.params = params;
    }

    setModel(model: FittedModel): void {
      this.model = model;
    }

    async onTrainBegin(): Promise<void> {
      // In a list that begins with a plain object, tfjs takes all callbacks for plain objects.
      if (!(this instanceof Listening) || this.model === null) {
        throw invalidArgument(
          `${what}: model.fit() doesn't know this as a tf.Callback. In a list of callbacks, put it first; other ones that are plain objects go through new tf.CustomCallback({ … }).`,
        );
      }
      await listener.trainBegin(this.model, this.params);
    }

    async onTrainEnd(): Promise<void> {
      await listener.trainEnd();
    }

    async onEpochBegin(epoch: number): Promise<void> {
      await listener.epochBegin(epoch);
    }

    async onEpochEnd(epoch: number, logs: RawLogs = {}): Promise<void> {
      await listener.epochEnd(epoch, logs);
    }

    async onBatchBegin(batch: number): Promise<void> {
      await listener.batchBegin(batch);
    }

    async onBatchEnd(batch: number, logs: RawLogs = {}): Promise<void> {
      await listener.batchEnd(batch, logs);
    }

    async close(): Promise<void> {
      await listener.close();
    }
  }
  return new Listening() as unknown as InstanceType<T['Callback']> & Closable;
}
