import type { TfOptimizer } from './types.ts';

/** One kind of slot that an optimizer keeps for each variable it trains. */
export interface SlotLayout {
  /** The optimizer's field: an array of { originalName, variable }, in the order of the trained variables. */
  readonly field: string;
  /** What TensorFlow.js appends to the variable's name. */
  readonly suffix: string;
  /** The list's name in Keras 3. */
  readonly list: string;
  /** The optimizer's field with the value that a slot starts at; zero without one. */
  readonly initial?: string;
}

/** Where an optimizer of TensorFlow.js keeps its state, and what Keras 3 calls it. */
export interface OptimizerLayout {
  readonly slots: readonly SlotLayout[];
  /** Keras's `_variables`: slots variable by variable, or kind by kind. */
  readonly order: 'by variable' | 'by kind';
  /** Running scalars: local name → the field with the variable. */
  readonly scalars: readonly (readonly [name: string, field: string])[];
  /** Powers of a constant that are multiplied step by step: scalar → field of the constant. */
  readonly powers: Readonly<Record<string, string>>;
}

const NONE = { order: 'by variable', scalars: [], powers: {} } as const;
const BETA_POWERS = { _beta_1_power: 'beta1', _beta_2_power: 'beta2' };

/**
 * By class name (tfjs-core 4.22, src/optimizers). The state is read from the optimizers' own fields rather than
 * through getWeights(): that is asynchronous, allocates a tensor that nobody disposes, leaves out Adam's running beta
 * powers, and throws for Adamax.
 */
const LAYOUTS: Readonly<Record<string, OptimizerLayout>> = {
  SGD: { ...NONE, slots: [] },
  Momentum: { ...NONE, slots: [{ field: 'accumulations', suffix: 'momentum', list: 'momentums' }] },
  Adam: {
    order: 'by variable',
    slots: [
      { field: 'accumulatedFirstMoment', suffix: 'm', list: '_momentums' },
      { field: 'accumulatedSecondMoment', suffix: 'v', list: '_velocities' },
    ],
    scalars: [
      ['_beta_1_power', 'accBeta1'],
      ['_beta_2_power', 'accBeta2'],
    ],
    powers: BETA_POWERS,
  },
  Adamax: {
    order: 'by variable',
    slots: [
      { field: 'accumulatedFirstMoment', suffix: 'm', list: '_m' },
      { field: 'accumulatedWeightedInfNorm', suffix: 'v', list: '_u' },
    ],
    scalars: [
      ['_iteration', 'iteration'],
      ['_beta_1_power', 'accBeta1'],
    ],
    powers: { _beta_1_power: 'beta1' },
  },
  RMSProp: {
    ...NONE,
    order: 'by kind',
    slots: [
      { field: 'accumulatedMeanSquares', suffix: 'rms', list: '_velocities' },
      { field: 'accumulatedMoments', suffix: 'momentum', list: '_momentums' },
      { field: 'accumulatedMeanGrads', suffix: 'mg', list: '_average_gradients' },
    ],
  },
  Adagrad: {
    ...NONE,
    slots: [
      { field: 'accumulatedGrads', suffix: 'accumulator', list: '_accumulators', initial: 'initialAccumulatorValue' },
    ],
  },
  Adadelta: {
    ...NONE,
    slots: [
      { field: 'accumulatedGrads', suffix: 'accum_grad', list: '_accumulated_grads' },
      { field: 'accumulatedUpdates', suffix: 'accum_var', list: '_accumulated_delta_vars' },
    ],
  },
};

/** The layout of an optimizer, or undefined for a class that isn't TensorFlow.js's own, or that looks different. */
export function layoutOf(optimizer: TfOptimizer): OptimizerLayout | undefined {
  const name = optimizer.getClassName();
  const layout = Object.hasOwn(LAYOUTS, name) ? LAYOUTS[name]! : undefined;
  if (layout === undefined) return undefined;
  const fields = optimizer as unknown as Readonly<Record<string, unknown>>;
  const fits =
    layout.slots.every(({ field }) => Array.isArray(fields[field])) &&
    layout.scalars.every(([, field]) => typeof fields[field] === 'object' && fields[field] !== null);
  return fits ? layout : undefined;
}
