import type { StagedValue } from '../checkpoint/trackable.ts';
import { freeTensors, holdTensors } from '../native/tensorflow.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { executeBorrow } from './borrow.ts';
import type { Runtime } from './runtime.ts';
import type { TfTensor } from './types.ts';

/** Where a tensor is: what is saved is what `get` returns then, what is restored goes to `set`, which owns it. */
export interface TensorPlace {
  /** For messages. */
  readonly description: string;
  get(): TfTensor;
  set(value: TfTensor): void;
}

/**
 * Exchanges tensors for restored ones, many in one turn of the event loop. The new ones are made before. The old ones are
 * disposed of by whoever has them, in that turn; but to free the memory of gigabytes takes TensorFlow a good part of a
 * second, so that it is held beyond, and given back by a thread of the engine's.
 */
export class Exchange {
  readonly #runtime: Runtime;
  /** Of the values that are staged at present. */
  #batch: Batch | undefined;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** A tensor of `value`, whose memory is handed over, on its way to `place`. */
  stage(place: TensorPlace, value: HostTensor): StagedValue {
    const tensor = this.#runtime.toTensor(value);
    if (this.#batch === undefined || this.#batch.hasBegun) this.#batch = new Batch((tensors) => this.hold(tensors));
    const batch = this.#batch;
    batch.places.add(place);
    return {
      assign() {
        batch.begin();
        place.set(tensor);
      },
      discard() {
        batch.places.delete(place);
        tensor.dispose();
      },
      settle: () => batch.end(),
    };
  }

  /**
   * Holds the memory that tensors have now, until the function returned is called: disposing of them takes no time.
   * Memory that can't be held is given back by who disposes of it, as ever.
   */
  hold(tensors: readonly TfTensor[]): () => Promise<void> {
    const link = this.#runtime.links.current();
    if (typeof link === 'string') return NOTHING_HELD;
    try {
      const byType = new Map<number, TfTensor[]>();
      for (const tensor of tensors) {
        if (tensor.isDisposed || tensor.dtype === 'string' || tensor.shape.includes(0)) continue;
        const { dtype, values } = link.backend.tensorMap.get(tensor.dataId);
        // Not TensorFlow's yet: to hold it would be to hand it over, by a copy.
        if (values !== null) continue;
        const alike = byType.get(dtype);
        if (alike === undefined) byType.set(dtype, [tensor]);
        else alike.push(tensor);
      }
      if (byType.size === 0) return NOTHING_HELD;
      const held = holdTensors(() => executeBorrow(link, byType));
      return () => freeTensors(held);
    } catch {
      return NOTHING_HELD;
    }
  }
}

const NOTHING_HELD = async () => {};

/** Tensors that are exchanged in one turn. */
class Batch {
  readonly places = new Set<TensorPlace>();
  readonly #hold: (tensors: readonly TfTensor[]) => () => Promise<void>;
  #free: (() => Promise<void>) | undefined;
  #freed: Promise<void> | undefined;

  constructor(hold: (tensors: readonly TfTensor[]) => () => Promise<void>) {
    this.#hold = hold;
  }

  get hasBegun(): boolean {
    return this.#free !== undefined;
  }

  begin(): void {
    this.#free ??= this.#hold(Array.from(this.places, (place) => place.get()));
  }

  end(): Promise<void> | undefined {
    this.#freed ??= this.#free?.();
    return this.#freed;
  }
}
