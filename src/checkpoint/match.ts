import type { Texts } from './texts.ts';
import type { TrackableNode, TrackableValue } from './trackable.ts';

/** A stored value that was found for a value of an object, not yet read. There may be a million. */
export class Match {
  readonly #keys: Texts;
  /** Node of the stored graph, and its attribute. */
  readonly storedId: number;
  readonly row: number;
  /** The key's row in the index, −1 if it isn't there; where that was looked up. */
  readonly entryRow: number | undefined;
  readonly node: TrackableNode;
  readonly value: TrackableValue;

  constructor(keys: Texts, found: Omit<Match, 'key'>) {
    this.#keys = keys;
    this.storedId = found.storedId;
    this.row = found.row;
    this.entryRow = found.entryRow;
    this.node = found.node;
    this.value = found.value;
  }

  /** Made when it is asked for. */
  get key(): string {
    return this.#keys.at(this.row);
  }
}
