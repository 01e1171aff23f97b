import type { BundleColumns } from '../bundle/index.ts';
import { SourceColumns } from '../bundle/source-columns.ts';
import { invalidArgument } from '../errors.ts';
import { inTurns, isThenable, ONE_TURN, type Steps, type Turns, wait } from '../steps.ts';
import type { DType } from '../tensor/dtypes.ts';
import { SCALAR } from '../tensor/shape.ts';
import type { TensorSource } from '../tensor/source.ts';
import { attributeKey } from './keys.ts';
import { Repeated } from './repeated.ts';
import { freeTree, type Structure, structureOf } from './structure.ts';
import type { Snapshot } from './trackable.ts';
import { asked, type ObjectTree, VISITED_AT_ONCE } from './tree.ts';

/** The values of a tree, frozen. */
export interface Capture {
  /** One entry a value, and the object graph. */
  readonly columns: BundleColumns;
  /** Values without the object graph. */
  readonly tensors: number;
}

/** The values of a tree as they are at one moment. Whoever makes one releases it, whatever becomes of the save. */
export class Frozen {
  readonly #tree: ObjectTree;
  readonly #turns: Turns;
  /** A row for each value, and one for the object graph. */
  readonly dtypes: Repeated<DType>;
  readonly shapes: Repeated<readonly number[]>;
  readonly sources: SourceColumns;
  /** Rows whose source is still on its way. */
  readonly #pending = new Map<number, Promise<TensorSource>>();
  #owned: Snapshot[] = [];
  #checkedBuffers = 0;

  private constructor(tree: ObjectTree, turns: Turns, values: Pick<Frozen, 'dtypes' | 'shapes'>) {
    this.#tree = tree;
    this.#turns = turns;
    this.dtypes = values.dtypes;
    this.shapes = values.shapes;
    this.sources = new SourceColumns(tree.values.length + 1);
  }

  /** @param last what the last tree's values were. */
  static *of(tree: ObjectTree, turns: Turns, last?: Pick<BundleColumns, 'dtypes' | 'shapes'>): Steps<Frozen> {
    const rows = tree.values.length + 1;
    const between = changingTurns(tree, turns);
    // Room for a million takes milliseconds each time.
    const dtypes = new Repeated(last?.dtypes, rows);
    if (between.due) yield between.next();
    const shapes = new Repeated(last?.shapes, rows);
    if (between.due) yield between.next();
    return new Frozen(tree, turns, { dtypes, shapes });
  }

  /**
   * Freezes all values: of a tree of up to {@link VISITED_AT_ONCE} objects those that can change in this turn of the event
   * loop, as they are at one moment; those that can't, in as many turns as that takes.
   */
  *freeze(): Steps<void> {
    const { values } = this.#tree;
    const changing = changingTurns(this.#tree, this.#turns);
    yield* inTurns(changing, values.length, (first, end) => this.#freeze(first, end, false));
    yield* inTurns(this.#turns, values.length, (first, end) => this.#freeze(first, end, true));
  }

  /**
   * Freezes the values from `first` up to `end` that are constant, or those that aren't. They are asked where they are once
   * all of these are frozen, so that an adapter can take all of its own when asked for the first.
   */
  #freeze(first: number, end: number, constant: boolean): void {
    const { dtypes, shapes, sources } = this;
    const { values } = this.#tree;
    const rows: number[] = [];
    const snapshots: Snapshot[] = [];
    let row = first;
    const where = () => keyOf(this.#tree, row);
    const capture = () => {
      for (; row < end; row++) {
        const value = values.at(row);
        if ((value.constant === true) !== constant) continue;
        const snapshot = value.capture();
        rows.push(row);
        snapshots.push(snapshot);
        if (snapshot.release !== undefined) this.#owned.push(snapshot);
        dtypes.set(row, value.dtype);
        shapes.set(row, value.shape);
      }
    };
    const locate = () => {
      for (let i = 0; i < rows.length; i++) {
        row = rows[i]!;
        const { source } = snapshots[i]!;
        if (isThenable(source)) this.#pending.set(row, source);
        else sources.set(row, source);
        if (sources.buffers.length !== this.#checkedBuffers) this.#checkBuffers(row);
      }
    };
    asked(capture, where);
    asked(locate, where);
  }

  /** Checks the buffers that have come with a row. */
  #checkBuffers(row: number): void {
    const { buffers } = this.sources;
    for (; this.#checkedBuffers < buffers.length; this.#checkedBuffers++) {
      const buffer = buffers.at(this.#checkedBuffers);
      if (!(buffer instanceof ArrayBuffer) || (buffer as { resizable?: boolean }).resizable) {
        checkBuffer(buffer, keyOf(this.#tree, row));
      }
    }
  }

  /** Waits for sources that are still on their way. */
  *settled(): Steps<void> {
    if (this.#pending.size === 0) return;
    const rows = [...this.#pending.keys()];
    // All settle, also if one fails: what is still being copied must not be released yet.
    const settled = yield* wait(Promise.allSettled(this.#pending.values()));
    this.#pending.clear();
    for (const [i, result] of settled.entries()) {
      if (result.status === 'rejected') throw result.reason;
      this.sources.set(rows[i]!, result.value);
      this.#checkBuffers(rows[i]!);
    }
  }

  /** Tells every owner that its bytes are no longer needed. May be called again; only the first counts. */
  release(): void {
    const owned = this.#owned;
    this.#owned = [];
    for (const snapshot of owned) snapshot.release!();
  }
}

/** Composes what is saved. It belongs to one Checkpoint and remembers the last tree's keys, graph, dtypes and shapes. */
export class Capturer {
  #last: Structure | undefined;
  #lastValues: Pick<BundleColumns, 'dtypes' | 'shapes'> | undefined;

  /** Whether the next tree won't be captured in one turn, even if it has lost half of the objects of the last. */
  get expectsMany(): boolean {
    return this.#last !== undefined && this.#last.edgeStart.length > 2 * VISITED_AT_ONCE;
  }

  /** The names of the edges in the last tree. */
  get lastNames(): readonly string[] | undefined {
    return this.#last?.edgeNames;
  }

  /** What the values of the last tree were. */
  get lastValues(): Pick<BundleColumns, 'dtypes' | 'shapes'> | undefined {
    return this.#lastValues;
  }

  *capture(tree: ObjectTree, frozen: Frozen, turns: Turns): Steps<Capture> {
    yield* frozen.settled();
    this.#last = yield* structureOf(tree, this.#last, turns);
    const { keys, graph } = this.#last;
    freeTree(tree, this.#last);
    const { sources } = frozen;
    const tensors = tree.values.length;
    // Sizes and counts are checked by the planner.
    frozen.dtypes.set(tensors, 'string');
    frozen.shapes.set(tensors, SCALAR);
    sources.set(tensors, graph);
    const values = { dtypes: frozen.dtypes.list(), shapes: frozen.shapes.list() };
    this.#lastValues = values;
    return { columns: { keys, ...values, sources }, tensors };
  }
}

/** The turns in which values are frozen that can change. */
function changingTurns({ nodes }: ObjectTree, turns: Turns): Turns {
  return nodes.length <= VISITED_AT_ONCE ? ONE_TURN : turns;
}

function keyOf(tree: ObjectTree, row: number): string {
  let id = tree.valueStart.length - 2;
  while (tree.valueStart[id]! > row) id--;
  return attributeKey(tree.paths.escaped(id), tree.values.at(row).attribute);
}

/** Memory that can shrink or is shared can't be handed to other threads safely. */
function checkBuffer(buffer: ArrayBufferLike, key: string): void {
  if (typeof SharedArrayBuffer !== 'undefined' && buffer instanceof SharedArrayBuffer) {
    throw invalidArgument(
      `${key} lies in a SharedArrayBuffer, which native code can't hold on to. Use an ArrayBuffer, or HostTensor.allocate().`,
      { key },
    );
  }
  if ((buffer as ArrayBuffer).resizable) {
    throw invalidArgument(
      `${key} lies in a resizable ArrayBuffer, which could shrink while it is being saved. Use one of fixed length.`,
      { key },
    );
  }
}
