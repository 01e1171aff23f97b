import type { Adapter, Snapshot, TrackableNode } from '../../src/checkpoint/trackable.ts';
import { createResolver } from '../../src/checkpoint/trackables.ts';
import { walkSteps } from '../../src/checkpoint/tree.ts';
import { loadCheckpoint } from '../../src/manager/latest.ts';
import { ONE_TURN, promiseOf } from '../../src/steps.ts';
import type { DType } from '../../src/tensor/dtypes.ts';
import type { HostTensor } from '../../src/tensor/host-tensor.ts';
import type { TensorSource } from '../../src/tensor/source.ts';
import { saveBundle } from '../support/save-bundle.ts';

interface Captured {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly snapshot: Snapshot;
}

/**
 * The snapshot that a save takes, held for as long as the test wants: between the moment of capture and the moment when
 * the first byte is read lies whatever the test does in between.
 */
export class HeldSnapshot {
  readonly #captured: readonly Captured[];

  static async of(objects: Record<string, unknown>, adapter: Adapter): Promise<HeldSnapshot> {
    const root: TrackableNode = { identity: {}, description: 'root', children: () => Object.entries(objects) };
    const tree = await promiseOf(walkSteps(root, createResolver([adapter]), { prepare: true, turns: ONE_TURN }));
    const captured = Array.from(tree.values, (value) => ({
      dtype: value.dtype,
      shape: [...value.shape],
      snapshot: value.capture(),
    }));
    const held = new HeldSnapshot(captured);
    held.sources();
    return held;
  }

  private constructor(captured: readonly Captured[]) {
    this.#captured = captured;
  }

  /** In the order of the tree. Asking again gives the same. */
  sources(): (TensorSource | Promise<TensorSource>)[] {
    return this.#captured.map(({ snapshot }) => snapshot.source);
  }

  /** Absolute addresses; null for what isn't borrowed. */
  addresses(): (number | null)[] {
    return this.sources().map((source) => ('kind' in source && source.kind === 'address' ? source.address : null));
  }

  /** Writes the snapshot now, through the engine, and reads back what came to the disk. */
  async written(prefix: string): Promise<HostTensor[]> {
    const entries = await Promise.all(
      this.#captured.map(async ({ dtype, shape, snapshot }, i) => {
        const key = `v${String(i).padStart(6, '0')}`;
        return { key, dtype, shape, source: await snapshot.source };
      }),
    );
    await saveBundle(entries, { prefix });
    const reader = await loadCheckpoint(prefix);
    try {
      return await Promise.all(entries.map(({ key }) => reader.getTensor(key)));
    } finally {
      await reader.close();
    }
  }

  release(): void {
    for (const { snapshot } of this.#captured) snapshot.release?.();
  }
}
