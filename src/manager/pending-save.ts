import type { WriteHandle } from '../checkpoint/write-handle.ts';
import { CheckpointError } from '../errors.ts';
import { deferred } from '../steps.ts';
import type { SaveOutcome } from './book.ts';
import type { NormalizedSaveOptions } from './options.ts';

/** A save under way. */
export interface SaveHandle {
  /** Where it is saved. While it waits for a save before it: where it will be. */
  readonly path: string;
  /** The caller's values may change again. */
  readonly captured: Promise<void>;
  /** Durable and in the state file; the manager's `latestCheckpoint` is this. Resolves to `path`. */
  readonly committed: Promise<string>;
  /** Gives the save up unless its index is in place already: the promises then reject with ABORTED. */
  abort(): void;
}

/** One call of save() or begin(), from its decision to save to its end. Owned by the manager. */
export class PendingSave {
  readonly options: NormalizedSaveOptions;
  /** Step counter at the call; null without an interval. */
  readonly step: number | null;
  readonly captured = deferred<void>();
  readonly committed = deferred<string>();
  readonly finished = deferred<void>();
  path: string;
  outcome: SaveOutcome | undefined;
  /** The save counter before and after this save has counted. */
  counted: { readonly before: number; readonly after: number } | undefined;
  isCaptured = false;
  isCommitted = false;
  /** It was begun, so that it is to be on its way when the call returns, however many tensors there are. */
  atOnce = false;
  /** Whoever asked for this save will see it fail, so that no later call has to tell. */
  isAwaited = false;
  #write: WriteHandle | undefined;
  #abortion: CheckpointError | undefined;

  constructor(options: NormalizedSaveOptions, step: number | null, path: string) {
    this.options = options;
    this.step = step;
    this.path = path;
  }

  /** The write has been submitted, or waits for another operation of its Checkpoint. */
  follow(write: WriteHandle): void {
    this.#write = write;
  }

  abort(): void {
    if (this.#write !== undefined) {
      this.#write.abort();
      return;
    }
    this.#abortion ??= new CheckpointError('ABORTED', `The save of ${this.path} was aborted before it began.`, {
      path: this.path,
      cause: this.options.signal?.reason,
    });
    this.reject(this.#abortion);
  }

  throwIfAborted(): void {
    if (this.options.signal?.aborted) this.abort();
    if (this.#abortion !== undefined) throw this.#abortion;
  }

  reject(error: unknown): void {
    for (const part of [this.captured, this.committed, this.finished]) part.reject(error);
  }

  /** What begin() returns. */
  handle(): SaveHandle {
    const save = this;
    return {
      get path() {
        return save.path;
      },
      captured: this.captured.promise,
      get committed() {
        save.isAwaited = true;
        return save.committed.promise;
      },
      abort: () => save.abort(),
    };
  }
}
