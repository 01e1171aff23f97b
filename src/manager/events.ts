import type { TensorPath } from '../checkpoint/index.ts';

/** A checkpoint was saved: it is durable, and the state file names it. */
export interface SavedEvent {
  readonly path: string;
  /** Bytes of all tensors. */
  readonly bytes: number;
  readonly tensors: number;
  /** From submission to the end of the save, deletions included. */
  readonly seconds: number;
  /** From submission to the moment from which the values may change again. */
  readonly capturedSeconds: number;
  readonly bytesPerSecond: number;
  /** With an adapter that has more than one way (`tfjs(tf)`): `borrow` and `device`, tensors were written from where they lie. */
  readonly tensorPath?: TensorPath;
}

/** A checkpoint was passed over by a restore. */
export interface DamagedEvent {
  readonly path: string;
  readonly error: Error;
  /** What was restored instead; null: nothing could be. */
  readonly restored: string | null;
}

/** Something that did not fail an operation but should be known. */
export interface ManagerWarning {
  /** What it is about, for programs: `clock`, `state`, `changed`, `unlink`, … */
  readonly kind: string;
  readonly message: string;
  readonly path?: string;
  readonly key?: string;
  readonly cause?: unknown;
}

/** Events of a CheckpointManager. A `warning` that nobody listens to goes to `process.emitWarning`. */
export interface ManagerEvents {
  saved: [SavedEvent];
  /** The checkpoint has left the list, and no manager will delete it. */
  preserved: [{ readonly path: string }];
  deleted: [{ readonly path: string }];
  damaged: [DamagedEvent];
  warning: [ManagerWarning];
}
