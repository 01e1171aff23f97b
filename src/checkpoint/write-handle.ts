import type { SaveStats } from '../native/contract.ts';
import type { WriteOptions } from './options.ts';

/** Something that did not fail a write but should be known. */
export interface WriteWarning {
  /** `changed`: memory was written to while it was saved, a consistent copy was stored. Others: what couldn't be deleted or synced. */
  readonly kind: string;
  readonly message: string;
  readonly path?: string;
  readonly key?: string;
  readonly cause?: unknown;
}

/** The state file that a save publishes, and what it deletes. @internal */
export interface StateRequest {
  /** `previous`: the file's text before this save, null if there was none; put back where the save fails late. */
  stateFile: { path: string; text: string; previous?: string | null };
  /** Prefixes that retention gives up: deleted once the save is committed. */
  deletePrefixes: readonly string[];
  /** The state file's text once these are deleted. */
  stateFileAfterDeletion?: string;
}

/** What the manager asks of {@link Checkpoint.beginWrite}. @internal */
export interface WriteRequest extends WriteOptions {
  /** Whether the save counter belongs to the checkpoint, as it does for every save(). */
  storeSaveCounter: boolean;
  /** Directories that the caller has just created for this save, outermost first: their parents have to be synced. */
  createdDirectories?: readonly string[];
  /** Called synchronously just before the program that publishes the state file is submitted, after the tree is captured. */
  finish?: (context: { existingFiles: (directory: string) => readonly string[] }) => StateRequest | undefined;
  onWarning?: (warning: WriteWarning) => void;
  /** Submit it in this turn of the event loop, however many values there are; see {@link Checkpoint.beginWrite}. */
  atOnce?: boolean;
}

/** Where a write failed. */
export interface WriteFailure {
  /** Its index had been renamed into place. */
  readonly published: boolean;
  /** The prefix existed before: it keeps its new, whole content. */
  readonly replaced: boolean;
  /** Everything that it had written was removed again. */
  readonly undone: boolean;
}

/** A write under way. No promise of it counts as unhandled when it rejects. @internal */
export interface WriteHandle {
  /** The absolute prefix. */
  readonly path: string;
  /** The caller's values are no longer needed. */
  readonly captured: Promise<void>;
  /** The checkpoint exists under its prefix. */
  readonly indexed: Promise<void>;
  /** It is durable and the state file names it. */
  readonly committed: Promise<void>;
  /** Deletions are done as well. */
  readonly finished: Promise<WriteStats>;
  /** Stops the write where its index is not yet in place. Idempotent. */
  abort(): void;
  readonly failure: WriteFailure | null;
}

export interface WriteStats extends SaveStats {
  /** Values saved, without the object graph. */
  readonly tensors: number;
  /** Bytes of tensors. */
  readonly bytes: number;
}
