import type { DType } from '../tensor/dtypes.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import type { MemoryRange } from '../tensor/memory.ts';
import type { DeviceMemory, TensorSource } from '../tensor/source.ts';
import type { ChildList } from './child-list.ts';

/**
 * What an object in a checkpoint's tree is to the checkpoint: a node of TensorFlow's object graph
 * (trackable_object_graph.proto). Built-in objects and adapters (tfjs) both describe themselves this way.
 */
export interface TrackableNode {
  /**
   * Identity of the node: an object reached by several paths is stored once and becomes one node with several
   * edges. Usually the user's object itself.
   */
  readonly identity: object;
  /** What the node is, for messages: `HostTensor`, `Sequential`, … */
  readonly description: string;
  /** Edges, in order: local name → any trackable. Evaluated anew at every save and restore. */
  children?(): Iterable<readonly [name: string, value: unknown]>;
  /** Instead of children(), where their names are known to be distinct. Internal: arrays and objects may have very many. */
  list?(): ChildList;
  /** The node's own values. Most nodes have none or one. */
  values?(): readonly TrackableValue[];
  /** Instead of values(), where it is always this one: there may be a million such nodes. */
  readonly value?: TrackableValue;
  /** Slot variables (TensorFlow's `slot_variables`), for an optimizer node: variable → slot name → slot. */
  slots?(): Iterable<{ readonly variable: unknown; readonly name: string; readonly slot: unknown }>;
  /**
   * Called once before the tree below this node is walked for a save; may be asynchronous (an optimizer whose
   * weights can only be had through a promise). A tree without it is captured before `begin()` returns.
   */
  prepare?(): void | Promise<void>;
  /**
   * Called at a restore, before children() is walked: the local names that the checkpoint has below this node, so
   * that an object which creates its parts lazily can create them now (optimizer slots).
   */
  beforeRestore?(stored: StoredNode): void | Promise<void>;
  /** Called once after every value below this node was assigned (an optimizer's `setWeights`). */
  afterRestore?(): void | Promise<void>;
}

/** A node's own values. */
export function valuesOf(node: TrackableNode): readonly TrackableValue[] {
  return node.value !== undefined ? [node.value] : (node.values?.() ?? []);
}

/**
 * The method by which an object says itself what it is to a checkpoint, without an adapter. The tensors of this package's
 * other entry points have it (DeviceTensor): the layers that they are in are not known here.
 */
export const TRACKABLE = Symbol.for('tensor-checkpoint.trackable');

export interface SelfDescribing {
  /** Called at every save and restore: it must be cheap. */
  [TRACKABLE](): TrackableNode;
}

/** A node of a stored object graph, as far as an adapter needs to see it. */
export interface StoredNode {
  readonly childNames: readonly string[];
  child(name: string): StoredNode | undefined;
  /** Own value: its key, dtype and shape in the checkpoint. */
  value(
    attribute: string,
  ): { readonly key: string; readonly dtype: DType; readonly shape: readonly number[] } | undefined;
}

/** A value stored under `<path>/.ATTRIBUTES/<attribute>`. */
export interface TrackableValue {
  /** `VARIABLE_VALUE` for tensors, `py_state` for serialized host state. */
  readonly attribute: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Other dtypes that may be restored into this value (an int64 counter reads an int32 scalar). */
  readonly acceptedDTypes?: readonly DType[];
  /** true: any stored shape may be restored (the destination is replaced, not filled). */
  readonly anyShape?: boolean;
  /** true: a checkpoint may lack it, and the object counts as matched all the same (what others can compute). */
  readonly optional?: boolean;
  /** true: dtype, shape, and where its bytes are never change, so it may be captured later than the other values. */
  readonly constant?: boolean;
  /** Freezes the value as it is now. */
  capture(): Snapshot;
  /** A restore asks for it several times, and must be told the same each time. */
  readonly destination: Destination;
}

/**
 * A value frozen at the moment of capture. `release` is called exactly once, when its bytes are no longer needed.
 * `source` is read once, in the same turn of the event loop and before anything else happens, after other values were
 * captured: it may be a getter that takes many values together. Where a capture fails, snapshots are released without
 * having been asked.
 */
export interface Snapshot {
  readonly source: TensorSource | Promise<TensorSource>;
  release?(): void;
}

/** Where a restored value goes. */
export type Destination =
  /** Filled in place: the caller's views stay valid. */
  | { readonly kind: 'memory'; readonly bytes: MemoryRange }
  /** Memory of a device, filled in place; `fill` copies from the host, for values that are verified first (`atomic`). */
  | (DeviceMemory & {
      fill(bytes: MemoryRange): void | Promise<void>;
      /** Keeps the memory until the function returned was called, also if its owner frees it. */
      hold?(): () => void;
    })
  /** Read into new memory, verified, then handed over. `adopts`: to an owner outside of JavaScript. */
  | ({
      readonly kind: 'replace';
      readonly adopts?: boolean;
      /** Has new memory made for the value where a device is to have it; undefined: none, and the value is handed over. */
      place?(dtype: DType, shape: readonly number[]): PlacedValue | undefined;
    } & Handover);

/** How a value is handed over: at once, or in steps, so that many change together without holding up the event loop. */
export type Handover =
  | { assign(value: HostTensor): void | Promise<void>; readonly stage?: undefined }
  | { stage(value: HostTensor): StagedValue };

/**
 * A value on its way to its object. Values are staged over as many turns of the event loop as that takes, and assigned
 * in one: either `assign` is called or `discard`.
 */
export interface StagedValue {
  /** Cheap: it replaces one reference by another. */
  assign(): void;
  /** The restore has failed or was aborted. */
  discard(): void;
  /** Called when all that is assigned together has been: gives back what was replaced. Its memory is there until then. */
  settle?(): void | Promise<void>;
}

/** A staged value that is yet to be read, into new memory of a device. */
export interface PlacedValue extends StagedValue {
  readonly memory: DeviceMemory;
}

export type TensorPath = 'borrow' | 'device' | 'data';

/** Teaches a Checkpoint about a family of objects that it doesn't know, for example those of the user's tf. */
export interface Adapter {
  readonly name: string;
  /**
   * How tensors get to disk and back at present, for an adapter that has more than one way: `borrow`, their memory is
   * used as it is; `device`, likewise, and it is a GPU's; `data`, they are read and made by their own methods.
   */
  readonly path?: TensorPath;
  /** Why `path` is `data`; null where it isn't. */
  readonly pathReason?: string | null;
  /** The node for `value`, or undefined if this adapter doesn't know it. Must be cheap and repeatable. */
  adapt(value: unknown): TrackableNode | undefined;
}

/** An object of the user's that names its own children. */
export interface HasCheckpointChildren {
  checkpointChildren(): Record<string, unknown>;
}

/** Host state that serializes itself to text; stored as TensorFlow stores PythonState. */
export interface Serializable {
  serialize(): string;
  deserialize(text: string): void;
}
