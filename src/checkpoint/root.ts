import { describeValue, invalidArgument } from '../errors.ts';
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
      children: () => this.#children(counter()),
    };
  }

  *#children(counter: boolean): Generator<readonly [string, unknown]> {
    for (const name of this.#names()) {
      if (name === SAVE_COUNTER) {
        throw invalidArgument(
          `checkpoint[${JSON.stringify(name)}]: the Checkpoint has a save counter of its own; choose another name.`,
        );
      }
      yield [name, this.#objects[name]];
    }
    if (counter) yield [SAVE_COUNTER, this.#counter];
  }

  #names(): readonly string[] {
    const given = Object.keys(this.#objects);
    const last = this.#sorted;
    if (given.length !== last.given.length || given.some((name, i) => name !== last.given[i])) {
      // By code point, as Python compares; JavaScript's < compares UTF-16 units.
      const names = [...given].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      this.#sorted = { given, names };
    }
    return this.#sorted.names;
  }
}
