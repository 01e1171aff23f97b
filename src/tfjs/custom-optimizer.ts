import { PYTHON_STATE, VARIABLE_VALUE } from '../checkpoint/keys.ts';
import type { StoredNode, TrackableNode, TrackableValue } from '../checkpoint/trackable.ts';
import { CheckpointError, invalidArgument, isCheckpointError } from '../errors.ts';
import type { DType } from '../tensor/dtypes.ts';
import { optimizerFacts } from './facts.ts';
import { iterationsPart, learningRatePart, OPTIMIZER_FACTS, type TrainedVariables } from './optimizer-parts.ts';
import type { Part, Parts } from './part.ts';
import { dtypeOf, type Runtime } from './runtime.ts';
import type { Freezer } from './snapshot.ts';
import type { TfOptimizer, TfTensor } from './types.ts';

/** Names in a stored checkpoint: the weights in order, and what their variables were called when they were saved. */
interface Names {
  readonly weights: readonly string[];
  readonly trained: readonly string[];
}

/** One tensor of the optimizer's state; `tensor` where it has been asked for it. */
interface Weight {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly tensor?: TfTensor;
}

const WEIGHTS = 'weights';
const NAMES = 'weight_names';
/** What TensorFlow.js's own `saveIterations()` calls the number of steps. */
const ITERATIONS = 'iter';

/**
 * An optimizer of the user's own class, by what its `getWeights()` returns and its `setWeights()` takes. The number of
 * steps, which TensorFlow.js puts first as an int32, is kept apart as an int64, as that of every optimizer.
 *
 * Weights are known by their order. Their names, which begin with those of the variables trained and so differ from
 * process to process, are translated at a restore.
 */
export function customOptimizerNode(
  optimizer: TfOptimizer,
  trained: TrainedVariables,
  parts: Parts,
  runtime: Runtime,
  freezer: Freezer,
): TrackableNode {
  const what = `The optimizer ${optimizer.getClassName() ?? optimizer.constructor.name}`;
  const iterations = iterationsPart(optimizer, parts);
  const learningRate = learningRatePart(optimizer, parts);
  const facts = parts.text(optimizer, OPTIMIZER_FACTS, () => optimizerFacts(optimizer));
  const fields = optimizer as unknown as { readonly learningRate?: unknown };

  /** As far as they were asked for: the optimizer's own tensors, or those of the checkpoint being restored. */
  let weights: readonly Weight[] = [];
  let hasIterations = true;
  let storedNames: Names | undefined;
  const restored = new Map<number, TfTensor>();

  const weightPart = (i: number): Part =>
    parts.of(optimizer, `${WEIGHTS} ${i}`, () => ({
      description: `${WEIGHTS}/${i}`,
      values: () => {
        const weight = weights[i];
        return weight === undefined ? [] : [weightValue(i, weight)];
      },
    }));

  function weightValue(i: number, { dtype, shape, tensor }: Weight): TrackableValue {
    return {
      attribute: VARIABLE_VALUE,
      dtype,
      shape,
      capture() {
        if (tensor === undefined || tensor.isDisposed) {
          throw invalidArgument(`${what}: weight ${i} of getWeights() has been disposed, so that it can't be saved.`);
        }
        return freezer.capture(tensor);
      },
      destination: {
        kind: 'replace',
        stage(value) {
          const restoredTensor = runtime.toTensor(value);
          return {
            assign() {
              restored.get(i)?.dispose();
              restored.set(i, restoredTensor);
            },
            discard: () => restoredTensor.dispose(),
          };
        },
      },
    };
  }

  const list = parts.list(optimizer, WEIGHTS, () => weights.map((_, i) => weightPart(i)));
  const names = parts.of(optimizer, NAMES, () => ({
    description: NAMES,
    values: () => [
      {
        attribute: PYTHON_STATE,
        dtype: 'string',
        shape: [],
        capture() {
          const text = JSON.stringify({
            weights: weights.map(({ name }) => name),
            trained: (trained() ?? []).map(({ name }) => name),
            hasIterations,
          });
          return { source: { kind: 'strings', elements: [new TextEncoder().encode(text)] } };
        },
        destination: {
          kind: 'replace',
          assign(value) {
            const text = new TextDecoder().decode((value.data as Uint8Array[])[0]);
            const stored = JSON.parse(text) as Names & { hasIterations: boolean };
            storedNames = stored;
            hasIterations = stored.hasIterations;
          },
        },
      },
    ],
  }));

  async function ask(): Promise<void> {
    const given = await asked(what, 'getWeights', () => optimizer.getWeights!());
    if (!Array.isArray(given) || given.some((weight) => !isWeight(weight, runtime))) {
      throw new CheckpointError('UNSUPPORTED', `${what}: getWeights() must return an array of { name, tensor }.`);
    }
    const [first] = given;
    hasIterations = first?.name === ITERATIONS && first.tensor.shape.length === 0;
    // saveIterations() makes it anew each time, and nobody else disposes of it.
    if (hasIterations && !runtime.isVariable(first!.tensor)) first!.tensor.dispose();
    weights = (hasIterations ? given.slice(1) : given).map(({ name, tensor }) => {
      return { name, dtype: dtypeOf(tensor), shape: [...tensor.shape], tensor };
    });
  }

  async function give(): Promise<void> {
    const count = weights.length;
    // Of a checkpoint that has other things of the optimizer's alone, or still waits for some.
    if (storedNames === undefined || restored.size < count) return;
    const tensors: { name: string; tensor: TfTensor }[] = [];
    if (hasIterations) tensors.push({ name: ITERATIONS, tensor: runtime.integer(optimizer.iterations) });
    const now = (trained() ?? []).map(({ name }) => name);
    for (let i = 0; i < count; i++) tensors.push({ name: translated(i, storedNames, now), tensor: restored.get(i)! });
    restored.clear();
    try {
      await asked(what, 'setWeights', () => optimizer.setWeights!(tensors));
    } finally {
      // As loadLayersModel() does: what an optimizer keeps of them it has made its own.
      for (const { tensor } of tensors) if (!tensor.isDisposed) tensor.dispose();
    }
  }

  return {
    identity: optimizer,
    description: optimizer.getClassName() ?? optimizer.constructor.name,
    prepare: ask,
    *children() {
      yield ['_iterations', iterations];
      if (typeof fields.learningRate === 'number') yield ['_learning_rate', learningRate];
      yield [WEIGHTS, list];
      yield [NAMES, names];
      yield [OPTIMIZER_FACTS, facts];
    },
    beforeRestore(stored) {
      for (const tensor of restored.values()) tensor.dispose();
      restored.clear();
      storedNames = undefined;
      weights = storedWeights(stored.child(WEIGHTS));
    },
    afterRestore: give,
  };
}

function storedWeights(list: StoredNode | undefined): readonly Weight[] {
  const found: Weight[] = [];
  for (let i = 0; i < (list?.childNames.length ?? 0); i++) {
    const value = list!.child(String(i))?.value(VARIABLE_VALUE);
    if (value === undefined) break;
    found.push({ name: '', dtype: value.dtype, shape: value.shape });
  }
  return found;
}

/** `dense_Dense1/kernel/m` is `dense_Dense7/kernel/m` where the variable that it belongs to is called so now. */
function translated(i: number, stored: Names | undefined, now: readonly string[]): string {
  const name = stored?.weights[i] ?? `weight_${i}`;
  const variable = stored?.trained.findIndex((old) => name === old || name.startsWith(`${old}/`)) ?? -1;
  const renamed = now[variable];
  return renamed === undefined ? name : renamed + name.slice(stored!.trained[variable]!.length);
}

function isWeight(value: unknown, runtime: Runtime): boolean {
  const { name, tensor } = (value ?? {}) as { name?: unknown; tensor?: unknown };
  return typeof name === 'string' && typeof tensor === 'object' && tensor !== null && runtime.isTensor(tensor);
}

async function asked<T>(what: string, method: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (isCheckpointError(cause)) throw cause;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new CheckpointError('UNSUPPORTED', `${what}: its ${method}() has thrown: ${message}`, { cause });
  }
}
