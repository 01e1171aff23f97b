import type { FittedModel, TensorFlowJsLayers } from './callback.ts';
import type { Logs } from './logs.ts';

const replaying = new WeakSet<object>();

/** Whether batches go by that a process before this one has trained: there is nothing to save. */
export function isReplaying(model: object): boolean {
  return replaying.has(model);
}

export function setReplaying(model: object, value: boolean): void {
  if (value) replaying.add(model);
  else replaying.delete(model);
}

/** Fields that a training step of tfjs-layers 4.22 reads in its turn. */
interface StepFields {
  optimizer_: unknown;
  inputs: unknown[];
  outputs: unknown[];
  lossFunctions: unknown[];
  metricsTensors: unknown[];
  calculateLosses(): unknown[];
}

/**
 * Makes the next batch of model.fit() go by without being trained, its logs those given.
 *
 * fit() can't be told where to begin once it runs, and it hands a callback no way to leave a batch out. But a training
 * step does nothing but call the optimizer's `minimize`, with a function that computes loss and metrics. So the model
 * gets an optimizer for one step, which takes itself away again, computes nothing, and has that function see constants
 * in the places of outputs, losses and metrics. No weight, no slot, no moving average changes.
 *
 * @param metrics names of what a step returns, the loss first.
 */
export function replayStep(tf: TensorFlowJsLayers, model: FittedModel, metrics: readonly string[], logs: Logs): void {
  const fields = model as unknown as StepFields;
  const optimizer = fields.optimizer_;
  const scalar = (name: string | undefined) => tf.scalar((logs[name ?? ''] ?? 0) as never);
  fields.optimizer_ = {
    minimize(compute: () => object): object {
      fields.optimizer_ = optimizer;
      const { outputs, lossFunctions, metricsTensors } = fields;
      // An input is what costs nothing to compute.
      fields.outputs = [fields.inputs[0]];
      fields.lossFunctions = [() => tf.scalar(0 as never)];
      fields.metricsTensors = metrics.slice(1).map((name) => [() => scalar(name), 0]);
      fields.calculateLosses = () => [];
      try {
        tf.tidy(((): void => {
          compute();
        }) as never);
      } finally {
        Object.assign(fields, { outputs, lossFunctions, metricsTensors });
        // What hid the method of the class.
        delete (fields as Partial<StepFields>).calculateLosses;
      }
      return scalar(metrics[0]);
    },
  };
}
