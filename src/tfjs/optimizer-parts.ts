import type { Part, Parts } from './part.ts';
import type { TfOptimizer, TfVariable } from './types.ts';

/** What an optimizer of TensorFlow.js has beside its public interface. */
export interface OptimizerFields {
  iterations_: number | null;
  learningRate: number;
  setLearningRate?(learningRate: number): void;
  [field: string]: unknown;
}

/** The variables that an optimizer trains, in its order, where that is known: those of the model compiled with it. */
export type TrainedVariables = () => readonly TfVariable[] | undefined;

/** The local name of the text that says what an optimizer is. */
export const OPTIMIZER_FACTS = '_tfjs_optimizer';

/** The number of steps, of any optimizer. */
export function iterationsPart(optimizer: TfOptimizer, parts: Parts): Part {
  const fields = optimizer as unknown as OptimizerFields;
  return parts.number(optimizer, '_iterations', {
    dtype: 'int64',
    get: () => optimizer.iterations,
    set(value) {
      fields.iterations_ = value;
    },
  });
}

export function learningRatePart(optimizer: TfOptimizer, parts: Parts): Part {
  const fields = optimizer as unknown as OptimizerFields;
  return parts.number(optimizer, '_learning_rate', {
    dtype: 'float32',
    get: () => fields.learningRate,
    set(value) {
      // SGD and Momentum compute with a tensor made from it.
      if (fields.setLearningRate !== undefined) fields.setLearningRate(value);
      else fields.learningRate = value;
    },
  });
}
