import { VARIABLE_VALUE } from '../checkpoint/keys.ts';
import type { StoredNode, TrackableNode } from '../checkpoint/trackable.ts';
import { CheckpointError } from '../errors.ts';
import { customOptimizerNode } from './custom-optimizer.ts';
import { optimizerFacts } from './facts.ts';
import {
  definesOwnWeights,
  layoutOf,
  type OptimizerLayout,
  type ScalarLayout,
  type SlotLayout,
} from './optimizer-layouts.ts';
import {
  iterationsPart,
  learningRatePart,
  OPTIMIZER_FACTS,
  type OptimizerFields,
  type TrainedVariables,
} from './optimizer-parts.ts';
import type { Parts } from './part.ts';
import type { Runtime } from './runtime.ts';
import { scaledSlots } from './scaled-slots.ts';
import type { Freezer } from './snapshot.ts';
import type { TfOptimizer, TfVariable } from './types.ts';
import { tensorValue, variablePlace } from './variable.ts';

interface Slot {
  readonly originalName: string;
  readonly variable: TfVariable;
}

/** An optimizer, of TensorFlow.js or of a class of the user's. */
export function optimizerNode(
  optimizer: TfOptimizer,
  trained: TrainedVariables,
  parts: Parts,
  runtime: Runtime,
  freezer: Freezer,
): TrackableNode {
  const layout = layoutOf(optimizer);
  if (layout !== undefined) return knownOptimizerNode(optimizer, layout, trained, parts, runtime, freezer);
  if (definesOwnWeights(optimizer)) return customOptimizerNode(optimizer, trained, parts, runtime, freezer);
  throw new CheckpointError(
    'UNSUPPORTED',
    `The optimizer is a ${optimizer.getClassName()}, whose state this package doesn't know: it knows SGD, Momentum, ` +
      'Adam, Adamax, RMSProp, Adagrad and Adadelta as they are in TensorFlow.js 4.22, and classes with methods ' +
      'getWeights() and setWeights() of their own. Give it those, or a method checkpointChildren() that returns its ' +
      'variables by name.',
  );
}

/**
 * An optimizer of TensorFlow.js, with the local names of Keras 3: `_variables` is iterations, learning rate and slots;
 * the same values are reached by `_iterations`, `_learning_rate` and a list for each kind of slot.
 *
 * Slots are created at an optimizer's first step. A restore creates them before, each with the value that TensorFlow.js
 * would give it, so that a restore which fails later leaves an optimizer that trains as a fresh one does.
 */
function knownOptimizerNode(
  optimizer: TfOptimizer,
  layout: OptimizerLayout,
  trained: TrainedVariables,
  parts: Parts,
  runtime: Runtime,
  freezer: Freezer,
): TrackableNode {
  const fields = optimizer as unknown as OptimizerFields;
  const iterations = iterationsPart(optimizer, parts);
  const learningRate = learningRatePart(optimizer, parts);
  const { scaled } = layout;
  const products =
    scaled &&
    scaledSlots(
      optimizer,
      { list: scaled.list, exact: scaled.slot.list },
      () => slotsOf(fields, scaled.slot),
      () => -fields.learningRate,
      parts,
      runtime,
      freezer,
    );
  const variables = parts.list(optimizer, '_variables', () => [
    iterations,
    learningRate,
    ...(products?.parts() ?? slotsInOrder(layout, fields)),
  ]);
  /** A slot that Keras has in another form, from which a restore computes it where need be. */
  const exactPart = (slot: SlotLayout, i: number) =>
    parts.of(optimizer, `${slot.list} ${i}`, () => ({
      description: `${slot.list}/${i}`,
      values: () => {
        const variable = slotsOf(fields, slot)[i]!;
        return [{ ...placeValue(`${slot.list}/${i}`, variable), optional: products!.isDerived(i) }];
      },
    }));
  const placeValue = (description: string, variable: TfVariable) =>
    tensorValue(variablePlace(variable, description), runtime, freezer);
  const lists = layout.slots.map((slot) => {
    const part = parts.list(optimizer, slot.list, () => {
      const slots = slotsOf(fields, slot);
      return slot !== scaled?.slot ? slots : slots.map((_, i) => exactPart(slot, i));
    });
    return [slot, part] as const;
  });
  const scalars = layout.scalars.map((scalar) => {
    const part = parts.of(optimizer, scalar.name, () => ({
      description: scalar.name,
      // Keras has none: it computes them from the iterations, and so does a restore that lacks them.
      values: () => [{ ...placeValue(scalar.name, fields[scalar.field] as TfVariable), optional: true }],
    }));
    return [scalar, part] as const;
  });
  const facts = parts.text(optimizer, OPTIMIZER_FACTS, () => optimizerFacts(optimizer));
  /** The running scalars that the checkpoint being restored doesn't have (one of Keras). */
  let missing: readonly ScalarLayout[] = [];

  return {
    identity: optimizer,
    description: optimizer.getClassName(),
    *children() {
      yield ['_variables', variables];
      yield ['_iterations', iterations];
      yield ['_learning_rate', learningRate];
      for (const [slot, part] of lists) if (slotsOf(fields, slot).length > 0) yield [slot.list, part];
      if (products !== undefined && products.parts().length > 0) yield [scaled!.list, products.list];
      for (const [{ name }, part] of scalars) yield [name, part];
      yield [OPTIMIZER_FACTS, facts];
    },
    beforeRestore(stored) {
      createSlots(layout, fields, stored, trained(), runtime);
      products?.beforeRestore(stored);
      const isRestored = stored.child('_iterations') !== undefined;
      missing = isRestored ? layout.scalars.filter(({ name }) => stored.child(name) === undefined) : [];
    },
    async afterRestore() {
      await products?.afterRestore();
      for (const scalar of missing) {
        const value = runtime.scalar(scalar.after(optimizer.iterations, fields));
        variablePlace(fields[scalar.field] as TfVariable).set(value);
      }
      missing = [];
    },
  };
}

function slotsOf(fields: OptimizerFields, { field }: SlotLayout): readonly TfVariable[] {
  return (fields[field] as readonly Slot[]).map(({ variable }) => variable);
}

/** As Keras's `_variables` has them; what Keras doesn't have comes last. */
function slotsInOrder(layout: OptimizerLayout, fields: OptimizerFields): readonly TfVariable[] {
  const isKeras = ({ inKeras }: SlotLayout) => inKeras?.(fields) ?? true;
  const layouts = [...layout.slots.filter(isKeras), ...layout.slots.filter((slot) => !isKeras(slot))];
  const kinds = layouts.map((slot) => slotsOf(fields, slot)).filter((slots) => slots.length > 0);
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
    const names = [slot.list, ...(layout.scaled?.slot === slot ? [layout.scaled.list] : [])];
    const list = names
      .map((name) => stored.child(name))
      .find((child) => child !== undefined && child.childNames.length > 0);
    if (list === undefined) continue;
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
