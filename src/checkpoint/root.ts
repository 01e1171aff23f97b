import { describeValue, invalidArgument } from '../errors.ts';
import { type ChildList, ObjectChildren } from './child-list.ts';
import type { Counter } from './counter.ts';
import { SAVE_COUNTER } from './keys.ts';
import type { TrackableNode } from './trackable.ts';
import { isPlainObject } from './trackables.ts';

/**
 * The objects of a Checkpoint, as the root of its tree: sorted by name, as TensorFlow sorts the keyword arguments of
 * tf.train.Checkpoint, and behind them the save counter once it is part of the tree.
 */
export class RootObjects {
  readonly #identity: object;
  readonly #objects: Readonly<Record<string, unknown>>;
  readonly #counter: Counter;
  #sorted: { given: readonly string[]; names: readonly string[] } = { given: [], names: [] };

  constructor(identity: object, objects: Record<string, unknown>, counter: Counter) {
    if (typeof objects !== 'object' || objects === null || !isPlainObject(objects)) {
      throw invalidArgument(
        `new Checkpoint(objects): objects must be a plain object of named values, such as { step, model }, not ${describeValue(objects)}.`,
      );
    }
    this.#identity = identity;
    this.#objects = objects;
    this.#counter = counter;
  }

  node(counter: () => boolean): TrackableNode {
    return {
      identity: this.#identity,
      description: 'Checkpoint',
      list: () => this.children(counter()),
    };
  }

  /** With `counter`, the save counter is one of them. */
  children(counter: boolean): ChildList {
    if (Object.prototype.propertyIsEnumerable.call(this.#objects, SAVE_COUNTER)) {
      throw invalidArgument(
        `checkpoint[${JSON.stringify(SAVE_COUNTER)}]: the Checkpoint has a save counter of its own; choose another name.`,
      );
    }
    return new RootChildren(this.#objects, () => this.#names(), counter ? this.#counter : undefined);
  }

  #names(): readonly string[] {
    const given = Object.keys(this.#objects);
    const last = this.#sorted;
    if (given.length !== last.given.length || given.some((name, i) => name !== last.given[i])) {
      this.#sorted = { given, names: sortedByCodePoint(given) };
    }
    return this.#sorted.names;
  }
}

/** As Python compares text. By < where that is the same, as it is below U+D800: it is far faster. */
function sortedByCodePoint(names: readonly string[]): string[] {
  const sorted = [...names];
  if (names.every((name) => !/[\ud800-\uffff]/.test(name))) return sorted.sort();
  return sorted.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** The objects, in the order of their names, and the counter. */
class RootChildren extends ObjectChildren {
  readonly #counter: Counter | undefined;

  constructor(
    objects: Readonly<Record<string, unknown>>,
    names: () => readonly string[],
    counter: Counter | undefined,
  ) {
    super(objects, names);
    this.#counter = counter;
  }

  override get length(): number {
    return super.length + (this.#counter === undefined ? 0 : 1);
  }

  override name(index: number): string {
    return index < super.length ? super.name(index) : SAVE_COUNTER;
  }

  override value(index: number): unknown {
    return index < super.length ? super.value(index) : this.#counter;
  }

  override find(name: string): { readonly value: unknown } | undefined {
    if (name !== SAVE_COUNTER) return super.find(name);
    return this.#counter === undefined ? undefined : { value: this.#counter };
  }
}
