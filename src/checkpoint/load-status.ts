import { CheckpointError, type CheckpointErrorContext } from '../errors.ts';
import type { RestoreSession } from './restore-session.ts';
import type { ObjectTree } from './tree.ts';

/**
 * What a restore has matched, and assertions about it. They look at the objects as they are now: objects that have
 * appeared since the restore count as unmatched until {@link applyDeferred} (or the next save) has restored them.
 */
export interface LoadStatus {
  /**
   * Reads the values of objects and slots that have appeared since the restore.
   *
   * @throws CheckpointError as restore() does; NOT_FOUND if the checkpoint was deleted meanwhile.
   */
  applyDeferred(): Promise<void>;
  /**
   * Every stored value has an object, and every object a stored value.
   *
   * @throws CheckpointError NOT_FOUND listing, in `problems`, all that don't.
   */
  assertConsumed(): this;
  /**
   * Every object that exists has a stored value; values without an object are fine.
   *
   * @throws CheckpointError NOT_FOUND listing, in `problems`, all that haven't.
   */
  assertExistingObjectsMatched(): this;
  /**
   * Something besides the root was matched.
   *
   * @throws CheckpointError NOT_FOUND
   */
  assertNontrivialMatch(): this;
  /** Says that unmatched keys and objects are expected: nobody warns about them. */
  expectPartial(): this;
  /** Keys in the checkpoint that no object has taken. */
  readonly unmatchedKeys: string[];
  /** Paths of objects whose value isn't in the checkpoint, escaped as in keys. */
  readonly unmatchedObjects: string[];
}

/** What a status asks of its Checkpoint. */
export interface StatusHost {
  /** The objects as they are now. */
  tree(): ObjectTree;
  applyDeferred(session: RestoreSession): Promise<void>;
}

const SHOWN = 10;

export class CheckpointLoadStatus implements LoadStatus {
  readonly #host: StatusHost;
  readonly #session: RestoreSession;
  readonly #optional: object | undefined;
  #partialExpected = false;

  /** @param optional an object that needs no value: the save counter, for a checkpoint that no save() has written. */
  constructor(host: StatusHost, session: RestoreSession, optional?: object) {
    this.#host = host;
    this.#session = session;
    this.#optional = optional;
  }

  async applyDeferred(): Promise<void> {
    await this.#host.applyDeferred(this.#session);
  }

  get unmatchedKeys(): string[] {
    return this.#session.unmatchedKeys();
  }

  get unmatchedObjects(): string[] {
    const tree = this.#host.tree();
    return pathsWhere(tree, (id) => {
      const count = needed(tree, id);
      const object = tree.nodes.at(id).identity;
      return count > 0 && object !== this.#optional && !this.#session.hasRestored(object, count);
    });
  }

  /** @internal Whether expectPartial() was called. */
  get partialExpected(): boolean {
    return this.#partialExpected;
  }

  assertConsumed(): this {
    this.assertExistingObjectsMatched();
    this.#assertNone(this.unmatchedKeys, 'values that no object has taken', 'expectPartial() accepts this.');
    return this;
  }

  assertExistingObjectsMatched(): this {
    this.#assertNone(
      this.unmatchedObjects,
      'no value for objects that exist',
      'Were they named differently when it was saved?',
    );
    return this;
  }

  assertNontrivialMatch(): this {
    if (this.#session.matchedNodes > 1) return this;
    throw new CheckpointError(
      'NOT_FOUND',
      `Nothing but the root of ${this.#session.prefix} has matched: the objects' names are not those in the checkpoint ` +
        `(${list(this.unmatchedKeys)}).`,
      { path: this.#session.prefix },
    );
  }

  expectPartial(): this {
    this.#partialExpected = true;
    return this;
  }

  #assertNone(names: readonly string[], what: string, hint: string): void {
    if (names.length === 0) return;
    const path = this.#session.prefix;
    const problems: CheckpointErrorContext['problems'] = names.map((key) => ({
      code: 'NOT_FOUND',
      message: `${key}: unmatched`,
      key,
    }));
    throw new CheckpointError('NOT_FOUND', `${path} has ${what}: ${list(names)}. ${hint}`, { path, problems });
  }
}

/** The status of restore(null): nothing was restored, and every assertion says so. */
export class NothingRestored implements LoadStatus {
  readonly unmatchedKeys: string[] = [];
  readonly #host: Pick<StatusHost, 'tree'>;

  constructor(host: Pick<StatusHost, 'tree'>) {
    this.#host = host;
  }

  get unmatchedObjects(): string[] {
    const tree = this.#host.tree();
    return pathsWhere(tree, (id) => needed(tree, id) > 0);
  }

  async applyDeferred(): Promise<void> {}

  assertConsumed(): this {
    throw nothing();
  }

  assertExistingObjectsMatched(): this {
    throw nothing();
  }

  assertNontrivialMatch(): this {
    throw nothing();
  }

  expectPartial(): this {
    return this;
  }
}

/** The paths of the nodes for which `matches` says so. */
function pathsWhere({ nodes, paths }: ObjectTree, matches: (id: number) => boolean): string[] {
  const found: string[] = [];
  for (let id = 0; id < nodes.length; id++) if (matches(id)) found.push(paths.escaped(id));
  return found;
}

/** How many values of a node a checkpoint must have. */
function needed({ values, valueStart }: ObjectTree, id: number): number {
  let count = 0;
  for (let row = valueStart[id]!; row < valueStart[id + 1]!; row++) if (values.at(row).optional !== true) count++;
  return count;
}

function nothing(): CheckpointError {
  return new CheckpointError('NOT_FOUND', 'restore(null): no checkpoint was given, so nothing was restored.');
}

function list(names: readonly string[]): string {
  const more = names.length > SHOWN ? `, and ${names.length - SHOWN} more` : '';
  return names.slice(0, SHOWN).join(', ') + more;
}
