import { type Give, handOver } from '../checkpoint/hand-over.ts';
import { VARIABLE_VALUE } from '../checkpoint/keys.ts';
import type { Handover, Snapshot, StoredNode } from '../checkpoint/trackable.ts';
import { inTurns, promiseOf, ShortTurns, type Steps, type Turns } from '../steps.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import type { TensorSource } from '../tensor/source.ts';
import type { Part, Parts } from './part.ts';
import type { Runtime } from './runtime.ts';
import type { Freezer } from './snapshot.ts';
import type { TfVariable } from './types.ts';
import { variablePlace } from './variable.ts';

/** The slots of an optimizer that Keras keeps multiplied by a number. */
export interface ScaledSlots {
  /** The list that Keras knows. */
  readonly list: Part;
  /** The values in Keras's form, one for each slot. */
  parts(): readonly Part[];
  /** Whether a slot was computed from Keras's form at the last restore. */
  isDerived(i: number): boolean;
  beforeRestore(stored: StoredNode): void;
  afterRestore(): Promise<void>;
}

/**
 * TensorFlow.js accumulates gradients and multiplies by the learning rate behind that; Keras 3 multiplies before:
 * `momentum = -learningRate × accumulation`. A checkpoint has both: the accumulations, from which training goes on to
 * the bit, and for Keras the product. It is computed as the checkpoint is captured, one slot at a time where the
 * backend isn't in JavaScript's memory.
 *
 * @param exact Name of the list with the accumulations themselves: where a checkpoint has it, the products are ignored.
 * @param factor What an accumulation is multiplied by, when it is asked for.
 */
export function scaledSlots(
  optimizer: object,
  names: { readonly list: string; readonly exact: string },
  slots: () => readonly TfVariable[],
  factor: () => number,
  parts: Parts,
  runtime: Runtime,
  freezer: Freezer,
): ScaledSlots {
  /** Products restored from a checkpoint of Keras's, until the learning rate is known. */
  const restored = new Map<number, HostTensor>();
  const derived = new Set<number>();
  let isExact = true;

  const part = (i: number): Part =>
    parts.of(optimizer, `${names.list} ${i}`, () => ({
      description: `${names.list}/${i}`,
      values: () => {
        const slot = slots()[i]!;
        return [
          {
            attribute: VARIABLE_VALUE,
            dtype: 'float32',
            shape: slot.shape,
            // Computed from the others where a checkpoint lacks it.
            optional: true,
            capture: () => captureScaled(slot, factor(), runtime, freezer),
            destination: {
              kind: 'replace',
              assign(value) {
                if (!isExact) restored.set(i, value);
              },
            },
          },
        ];
      },
    }));
  const replacing = (slot: TfVariable): Handover => ({
    stage: (value) => runtime.exchange.stage(variablePlace(slot), value),
  });
  const all = () => slots().map((_, i) => part(i));

  return {
    list: parts.list(optimizer, names.list, all),
    parts: all,
    isDerived: (i) => derived.has(i),
    beforeRestore(stored) {
      isExact = (stored.child(names.exact)?.childNames.length ?? 0) > 0;
      restored.clear();
      derived.clear();
    },
    async afterRestore() {
      const by = factor();
      const values = [...restored];
      restored.clear();
      const turns = new ShortTurns();
      for (const [, { data }] of values) {
        await promiseOf(divide(data as Float32Array, by, turns));
      }
      const gives = values.map(([i, value]): Give => ({ to: replacing(slots()[i]!), value }));
      await handOver(gives, undefined, turns, { began() {}, gave: (at) => derived.add(values[at]![0]) });
    },
  };
}

/** In pieces, each of which takes well below a millisecond. */
function divide(values: Float32Array, by: number, turns: Turns): Steps<void> {
  return inTurns(
    turns,
    values.length,
    (first, end) => {
      // With a learning rate of zero the products are zero too, whatever was accumulated.
      for (let at = first; at < end; at++) values[at] = by === 0 ? 0 : values[at]! / by;
    },
    2 ** 18,
  );
}

function captureScaled(slot: TfVariable, factor: number, runtime: Runtime, freezer: Freezer): Snapshot {
  if (runtime.readsInPlace) {
    const scaled = runtime.scaled(slot, factor);
    const snapshot = freezer.capture(scaled);
    scaled.dispose();
    return snapshot;
  }
  // The value is frozen now, and multiplied when its turn comes: not all the products at once.
  const frozen = runtime.freeze(slot);
  let inner: Snapshot | undefined;
  let released = false;
  const source = new Promise<void>((resolve) => setImmediate(resolve)).then(
    (): TensorSource | Promise<TensorSource> => {
      if (released) throw new Error('the snapshot was released before it was read');
      const scaled = runtime.scaled(frozen, factor);
      inner = freezer.capture(scaled);
      // Asked for while the tensor lives: a backend may lend its buffer only then.
      const bytes = inner.source;
      scaled.dispose();
      return bytes;
    },
  );
  source.catch(() => {});
  return {
    source,
    release() {
      if (released) return;
      released = true;
      frozen.dispose();
      inner?.release?.();
    },
  };
}
