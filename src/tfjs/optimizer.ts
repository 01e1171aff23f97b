import { VARIABLE_VALUE } from '../checkpoint/keys.ts';
import type { StoredNode, TrackableNode } from '../checkpoint/trackable.ts';
import { CheckpointError } from '../errors.ts';
import { layoutOf, type OptimizerLayout, type SlotLayout } from './optimizer-layouts.ts';
import type { Parts } from './part.ts';
import type { Runtime } from './runtime.ts';
import type { TfOptimizer, TfVariable } from './types.ts';

/** What an optimizer of TensorFlow.js has beside its public interface. */
interface OptimizerFields {
  iterations_: number | null;
  learningRate: number;
  setLearningRate?(learningRate: number): void;
  [field: string]: unknown;
}

interface Slot {
  readonly originalName: string;
  readonly variable: TfVariable;
}

/** The variables that an optimizer trains, in its order, where that is known: those of the model compiled with it. */
export type TrainedVariables = () => readonly TfVariable[] | undefined;

/**
 * An optimizer, with the local names of Keras 3: `_variables` is iterations, learning rate and slots; the same values
 * are reached by `_iterations`, `_learning_rate` and a list for each kind of slot.
 *
 * Slots are created at an optimizer's first step. A restore creates them before, each with the value that TensorFlow.js
 * would give it, so that a restore which fails later leaves an optimizer that trains as a fresh one does.
 */
export function optimizerNode(
  optimizer: TfOptimizer,
  trained: TrainedVariables,
  parts: Parts,
  runtime: Runtime,
): TrackableNode {
  const layout = layoutOf(optimizer);
  if (layout === undefined) {
    throw new CheckpointError(
      'UNSUPPORTED',
      `The optimizer is a ${optimizer.getClassName()}, whose state this package doesn't know: it knows SGD, Momentum, ` +
        'Adam, Adamax, RMSProp, Adagrad and Adadelta as they are in TensorFlow.js 4.22. Give it a method ' +
        'checkpointChildren() that returns its variables by name.',
    );
  }
  const fields = optimizer as unknown as OptimizerFields;
  const iterations = parts.number(optimizer, '_iterations', {
    dtype: 'int64',
    get: () => optimizer.iterations,
    set(value) {
      fields.iterations_ = value;
    },
  });
  const learningRate = parts.number(optimizer, '_learning_rate', {
    dtype: 'float32',
    get: () => fields.learningRate,
    set(value) {
      // SGD and Momentum compute with a tensor made from it.
      if (fields.setLearningRate !== undefined) fields.setLearningRate(value);
      else fields.learningRate = value;
    },
  });
  const variables = parts.list(optimizer, '_variables', () => [
    iterations,
    learningRate,
    ...slotsInOrder(layout, fields),
  ]);
  const lists = layout.slots.map((slot) => {
    const part = parts.list(optimizer, slot.list, () => slotsOf(fields, slot));
    return [slot, part] as const;
  });
  /** The running powers that the checkpoint being restored doesn't have (one of Keras). */
  let missingPowers: readonly string[] = [];

  return {
    identity: optimizer,
    description: optimizer.getClassName(),
    *children() {
      yield ['_variables', variables];
      yield ['_iterations', iterations];
      yield ['_learning_rate', learningRate];
      for (const [slot, part] of lists) if (slotsOf(fields, slot).length > 0) yield [slot.list, part];
      for (const [name, field] of layout.scalars) yield [name, fields[field]];
    },
    beforeRestore(stored) {
      createSlots(layout, fields, stored, trained(), runtime);
      const powers = stored.child('_iterations') === undefined ? [] : Object.keys(layout.powers);
      missingPowers = powers.filter((name) => stored.child(name) === undefined);
    },
    afterRestore() {
      for (const name of missingPowers) restorePower(layout, fields, name, optimizer.iterations, runtime);
      missingPowers = [];
    },
  };
}

function slotsOf(fields: OptimizerFields, { field }: SlotLayout): readonly TfVariable[] {
  return (fields[field] as readonly Slot[]).map(({ variable }) => variable);
}

function slotsInOrder(layout: OptimizerLayout, fields: OptimizerFields): readonly TfVariable[] {
  const kinds = layout.slots.map((slot) => slotsOf(fields, slot)).filter((slots) => slots.length > 0);
  if (layout.order === 'by kind') return kinds.flat();
  const count = Math.max(0, ...kinds.map(({ length }) => length));
  return Array.from({ length: count }, (_, i) => kinds.flatMap((slots) => slots[i] ?? [])).flat();
}

function createSlots(
  layout: OptimizerLayout,
  fields: OptimizerFields,
  stored: StoredNode,
  trained: readonly TfVariable[] | undefined,
  runtime: Runtime,
): void {
  for (const slot of layout.slots) {
    const list = stored.child(slot.list);
    if (list === undefined || list.childNames.length === 0) continue;
    const slots = fields[slot.field] as Slot[];
    // With a model, its variables say what slots there are, and a checkpoint that differs is told by its shapes.
    const wanted = trained ?? storedVariables(list);
    for (let i = slots.length; i < wanted.length; i++) {
      const { name, shape, dtype } = wanted[i]!;
      const initial = slot.initial === undefined ? undefined : (fields[slot.initial] as number);
      const variable = initial === undefined ? runtime.zeros(shape, dtype) : runtime.full(shape, initial);
      slots[i] = { originalName: `${name}/${slot.suffix}`, variable };
    }
  }
}

function storedVariables(list: StoredNode): { name: string; shape: readonly number[]; dtype: string }[] {
  const found = [];
  for (let i = 0; i < list.childNames.length; i++) {
    const value = list.child(String(i))?.value(VARIABLE_VALUE);
    if (value === undefined) break;
    found.push({ name: `variable_${i}`, shape: value.shape, dtype: value.dtype });
  }
  return found;
}

/** What TensorFlow.js's own setWeights() does: right to the last bits but one. */
function restorePower(
  layout: OptimizerLayout,
  fields: OptimizerFields,
  name: string,
  iterations: number,
  runtime: Runtime,
): void {
  const field = layout.scalars.find(([scalar]) => scalar === name)![1];
  const base = fields[layout.powers[name]!] as number;
  const power = runtime.scalar(base ** (iterations + 1));
  (fields[field] as TfVariable).assign(power);
  power.dispose();
}
