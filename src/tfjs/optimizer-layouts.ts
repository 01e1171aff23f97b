import type { TfOptimizer } from './types.ts';

type Fields = Readonly<Record<string, unknown>>;

/** One kind of slot that an optimizer keeps for each variable it trains. */
export interface SlotLayout {
  /** The optimizer's field: an array of { originalName, variable }, in the order of the trained variables. */
  readonly field: string;
  /** What TensorFlow.js appends to the variable's name. */
  readonly suffix: string;
  /** The list's name in Keras 3; one of our own where Keras has no such values. */
  readonly list: string;
  /** The optimizer's field with the value that a slot starts at; zero without one. */
  readonly initial?: string;
  /** Whether an optimizer of Keras with these settings has the slots too; always, without it. */
  readonly inKeras?: (fields: Fields) => boolean;
}

/** Where an optimizer of TensorFlow.js keeps its state, and what Keras 3 calls it. */
export interface OptimizerLayout {
  readonly slots: readonly SlotLayout[];
  /** Keras's `_variables`: slots variable by variable, or kind by kind. */
  readonly order: 'by variable' | 'by kind';
  /** Running scalars. */
  readonly scalars: readonly ScalarLayout[];
  /** Slots that Keras keeps in another form: `momentums` is an accumulation times the negative learning rate. */
  readonly scaled?: { readonly list: string; readonly slot: SlotLayout };
}

/** A running scalar that Keras computes from the iterations instead. */
export interface ScalarLayout {
  readonly name: string;
  /** The optimizer's field with the variable. */
  readonly field: string;
  /** Its value after so many iterations, but for rounding. */
  after(iterations: number, fields: Fields): number;
}

const NONE = { order: 'by variable', scalars: [] } as const;

/** A power of a constant, multiplied step by step; TensorFlow.js's own setWeights() computes it like this. */
function power(name: string, field: string, base: string): ScalarLayout {
  return { name, field, after: (iterations, fields) => (fields[base] as number) ** (iterations + 1) };
}

const ACCUMULATIONS: SlotLayout = { field: 'accumulations', suffix: 'momentum', list: '_tfjs_accumulations' };

/**
 * By class name (tfjs-core 4.22, src/optimizers). The state is read from the optimizers' own fields rather than
 * through getWeights(): that is asynchronous, allocates a tensor that nobody disposes, leaves out Adam's running beta
 * powers, and throws for Adamax.
 */
const LAYOUTS: Readonly<Record<string, OptimizerLayout>> = {
  SGD: { ...NONE, slots: [] },
  Momentum: { ...NONE, slots: [ACCUMULATIONS], scaled: { list: 'momentums', slot: ACCUMULATIONS } },
  Adam: {
    order: 'by variable',
    slots: [
      { field: 'accumulatedFirstMoment', suffix: 'm', list: '_momentums' },
      { field: 'accumulatedSecondMoment', suffix: 'v', list: '_velocities' },
    ],
    scalars: [power('_beta_1_power', 'accBeta1', 'beta1'), power('_beta_2_power', 'accBeta2', 'beta2')],
  },
  Adamax: {
    order: 'by variable',
    slots: [
      { field: 'accumulatedFirstMoment', suffix: 'm', list: '_m' },
      { field: 'accumulatedWeightedInfNorm', suffix: 'v', list: '_u' },
    ],
    scalars: [
      { name: '_iteration', field: 'iteration', after: (iterations) => iterations },
      power('_beta_1_power', 'accBeta1', 'beta1'),
    ],
  },
  RMSProp: {
    ...NONE,
    order: 'by kind',
    slots: [
      { field: 'accumulatedMeanSquares', suffix: 'rms', list: '_velocities' },
      {
        field: 'accumulatedMoments',
        suffix: 'momentum',
        list: '_momentums',
        // TensorFlow.js keeps them also where nothing comes of them.
        inKeras: ({ momentum }) => (momentum as number) > 0,
      },
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
  if (!isKnown(name) || definesOwnWeights(optimizer)) return undefined;
  const layout = LAYOUTS[name]!;
  const fields = optimizer as unknown as Fields;
  const fits =
    layout.slots.every(({ field }) => Array.isArray(fields[field])) &&
    layout.scalars.every(({ field }) => typeof fields[field] === 'object' && fields[field] !== null);
  return fits ? layout : undefined;
}

/** Whether a class of the user's says itself what the optimizer's state is, by the method that TensorFlow.js has for it. */
export function definesOwnWeights(optimizer: TfOptimizer): boolean {
  for (let at: object | null = optimizer; at !== null; at = Object.getPrototypeOf(at)) {
    if (!Object.hasOwn(at, 'getWeights')) continue;
    if (at === optimizer) return true;
    const { className } = at.constructor as { className?: unknown };
    return Object.hasOwn(at.constructor, 'className') ? !isKnown(className) : !isBase(at);
  }
  return false;
}

/** `tf.Optimizer.prototype`, the class that only says that there are no weights. */
function isBase(prototype: object): boolean {
  return ['minimize', 'computeGradients', 'extractIterations'].every((name) => Object.hasOwn(prototype, name));
}

function isKnown(name: unknown): name is string {
  return typeof name === 'string' && Object.hasOwn(LAYOUTS, name);
}
