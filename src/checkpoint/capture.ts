import type { BundleColumns } from '../bundle/index.ts';
import { invalidArgument } from '../errors.ts';
import { inTurns, isThenable, ONE_TURN, resultOf, type Steps, type Turns, wait } from '../steps.ts';
import type { DType } from '../tensor/dtypes.ts';
import type { TensorSource } from '../tensor/source.ts';
import { attributeKey } from './keys.ts';
import { type Structure, structureOf } from './structure.ts';
import type { Snapshot } from './trackable.ts';
import { asked, type ObjectTree } from './tree.ts';

/** The values of a tree, frozen. */
export interface Capture {
  /** One entry a value, and the object graph. */
  readonly columns: BundleColumns;
  /** Values without the object graph. */
  readonly tensors: number;
}

/** The values of a tree as they are at one moment. Whoever makes one releases it, whatever becomes of the save. */
export class Frozen {
  readonly dtypes: DType[] = [];
  readonly shapes: (readonly number[])[] = [];
  readonly sources: (TensorSource | Promise<TensorSource>)[] = [];
  readonly #snapshots: Snapshot[] = [];
  #owned: Snapshot[] = [];
  #pending = false;

  /** Freezes the values of a tree from `first` up to `end`. */
  freeze(tree: ObjectTree, first: number, end: number): void {
    let row = first;
    const where = () => keyOf(tree, row);
    const capture = () => {
      for (; row < end; row++) {
        const value = tree.values[row]!;
        const snapshot = value.capture();
        this.#snapshots.push(snapshot);
        if (snapshot.release !== undefined) this.#owned.push(snapshot);
        this.dtypes.push(value.dtype);
        this.shapes.push(value.shape);
      }
    };
    asked(capture, where);
  }

  /** Asks where they are; once many are frozen, so that an adapter can take all of its own when asked for the first. */
  locate(tree: ObjectTree, first: number, end: number): void {
    let row = first;
    const where = () => keyOf(tree, row);
    const ask = () => {
      for (; row < end; row++) {
        const { source } = this.#snapshots[row]!;
        if (isThenable(source)) this.#pending = true;
        this.sources.push(source);
      }
    };
    asked(ask, where);
  }

  /** Waits for sources that are still on their way. */
  *settled(): Steps<TensorSource[]> {
    if (this.#pending) {
      // All settle, also if one fails: what is still being copied must not be released yet.
      const settled = yield* wait(Promise.allSettled(this.sources));
      for (const [i, result] of settled.entries()) {
        if (result.status === 'rejected') throw result.reason;
        this.sources[i] = result.value;
      }
    }
    return this.sources as TensorSource[];
  }

  /** Tells every owner that its bytes are no longer needed. May be called again; only the first counts. */
  release(): void {
    const owned = this.#owned;
    this.#owned = [];
    for (const snapshot of owned) snapshot.release!();
  }
}

/** Composes what is saved. It belongs to one Checkpoint and remembers the last tree's keys and graph. */
export class Capturer {
  #last: Structure | undefined;

  *capture(tree: ObjectTree, frozen: Frozen, turns: Turns): Steps<Capture> {
    const sources = yield* frozen.settled();
    this.#last = yield* structureOf(tree, this.#last, turns);
    const { keys, graph } = this.#last;
    const tensors = sources.length;
    let checked: ArrayBufferLike | undefined;
    yield* inTurns(turns, tensors, (first, end) => {
      for (let row = first; row < end; row++) {
        const source = sources[row]!;
        // Sizes and counts are checked by the planner.
        if (source.kind !== 'memory' || source.bytes.buffer === checked) continue;
        checked = source.bytes.buffer;
        checkBuffer(checked, keys[row]!);
      }
    });
    frozen.dtypes.push('string');
    frozen.shapes.push([]);
    sources.push({ kind: 'strings', elements: [graph] });
    return { columns: { keys, dtypes: frozen.dtypes, shapes: frozen.shapes, sources }, tensors };
  }
}

function keyOf(tree: ObjectTree, row: number): string {
  const id = tree.valueStart.findLastIndex((start) => start <= row);
  return attributeKey(resultOf(tree.paths.escaped(ONE_TURN))[id]!, tree.values[row]!.attribute);
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
