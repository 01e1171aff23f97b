import type { BundleEntry } from '../bundle/index.ts';
import { invalidArgument } from '../errors.ts';
import type { TensorSource } from '../tensor/source.ts';
import { attributeKey, OBJECT_GRAPH_KEY } from './keys.ts';
import { encodeObjectGraph } from './object-graph.ts';
import { isThenable, type Steps, wait } from './steps.ts';
import type { Snapshot, TrackableValue } from './trackable.ts';
import { asked, type ObjectTree, type SlotEdge } from './tree.ts';
import { graphOfTree } from './tree-graph.ts';

/** The values of a tree, frozen. */
export interface Capture {
  /** One entry a value, and the object graph. */
  readonly entries: readonly BundleEntry[];
  /** Values without the object graph. */
  readonly tensors: number;
  /** Tells every owner that its bytes are no longer needed. May be called again; only the first counts. */
  release(): void;
}

/** All that keys and graph follow from. It holds no object of the caller's: those may be gone by the next save. */
interface Structure extends Pick<ObjectTree, 'edgeStart' | 'edgeTargets' | 'edgeNames' | 'slots'> {
  /** Attribute names of each node, joined. */
  readonly attributes: readonly string[];
}

interface KnownStructure extends Structure {
  readonly keys: readonly string[];
  readonly graph: Uint8Array;
}

/**
 * Freezes trees. It belongs to one Checkpoint and remembers the last tree's keys and graph: in a training loop the
 * structure stays, and comparing it is far cheaper than composing 100,000 keys again.
 */
export class Capturer {
  #last: KnownStructure | undefined;

  *capture(tree: ObjectTree): Steps<Capture> {
    const { keys, graph } = this.#structure(tree);
    const snapshots: Snapshot[] = [];
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      for (const snapshot of snapshots) snapshot.release?.();
    };
    try {
      const values: TrackableValue[] = [];
      const sources: (TensorSource | Promise<TensorSource>)[] = [];
      for (const own of tree.values) {
        for (const value of own) {
          const key = keys[snapshots.length]!;
          const snapshot = asked(
            () => value.capture(),
            () => key,
          );
          snapshots.push(snapshot);
          values.push(value);
        }
      }
      // Only now, so that an adapter can take all of them together when it is asked for the first.
      for (const [i, snapshot] of snapshots.entries()) {
        sources.push(
          asked(
            () => snapshot.source,
            () => keys[i]!,
          ),
        );
      }
      if (sources.some(isThenable)) {
        // All settle, also if one fails: what is still being copied must not be released yet.
        const settled = yield* wait(Promise.allSettled(sources));
        for (const [i, result] of settled.entries()) {
          if (result.status === 'rejected') throw result.reason;
          sources[i] = result.value;
        }
      }
      const entries = values.map((value, i): BundleEntry => {
        const source = sources[i] as TensorSource;
        // Sizes and counts are checked by the planner.
        if (source.kind === 'memory') checkBuffer(source.bytes.buffer, keys[i]!);
        return { key: keys[i]!, dtype: value.dtype, shape: value.shape, source };
      });
      entries.push({
        key: OBJECT_GRAPH_KEY,
        dtype: 'string',
        shape: [],
        source: { kind: 'strings', elements: [graph] },
      });
      return { entries, tensors: values.length, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  #structure(tree: ObjectTree): KnownStructure {
    const structure = structureOf(tree);
    if (this.#last !== undefined && sameStructure(this.#last, structure)) return this.#last;
    const paths = tree.paths();
    const keys: string[] = [];
    tree.values.forEach((own, id) => {
      for (const value of own) keys.push(attributeKey(paths[id]!, value.attribute));
    });
    this.#last = { ...structure, keys, graph: encodeObjectGraph(graphOfTree(tree)) };
    return this.#last;
  }
}

function structureOf({ edgeStart, edgeTargets, edgeNames, slots, values }: ObjectTree): Structure {
  const attributes = values.map((own) =>
    own.length === 1 ? own[0]!.attribute : own.map(({ attribute }) => attribute).join('\0'),
  );
  return { edgeStart, edgeTargets, edgeNames, slots, attributes };
}

function sameStructure(a: Structure, b: Structure): boolean {
  return (
    sameList(a.edgeStart, b.edgeStart) &&
    sameList(a.edgeTargets, b.edgeTargets) &&
    sameList(a.edgeNames, b.edgeNames) &&
    sameList(a.attributes, b.attributes) &&
    a.slots.size === b.slots.size &&
    [...a.slots].every(([id, own]) => sameSlots(own, b.slots.get(id) ?? []))
  );
}

function sameSlots(a: readonly SlotEdge[], b: readonly SlotEdge[]): boolean {
  return (
    a.length === b.length &&
    a.every((slot, i) => slot.variable === b[i]!.variable && slot.slot === b[i]!.slot && slot.name === b[i]!.name)
  );
}

function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
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
