import type { EventEmitter } from 'node:events';
import type { WriteStats } from '../checkpoint/write-handle.ts';
import type { SaveOutcome } from './book.ts';
import type { ManagerEvents, ManagerWarning, SavedEvent } from './events.ts';
import type { Restored, Skipped } from './fallback.ts';

/** Tells listeners. Nothing that they do reaches the operation that tells them. */
export class Announcer {
  readonly #emitter: EventEmitter;

  constructor(emitter: EventEmitter<ManagerEvents>) {
    this.#emitter = emitter as EventEmitter;
  }

  /** Emits a warning; one that nobody listens to is a warning of the process. */
  warn(warning: ManagerWarning): void {
    if (this.#emitter.listenerCount('warning') > 0) this.tell('warning', warning);
    else process.emitWarning(warning.message, { type: 'CheckpointWarning', code: warning.kind });
  }

  /** Emits an event. What a listener throws is uncaught, as from a timer. */
  tell<Name extends keyof ManagerEvents>(name: Name, event: ManagerEvents[Name][0]): void {
    try {
      this.#emitter.emit(name, event);
    } catch (error) {
      process.nextTick(() => {
        throw error;
      });
    }
  }

  /** A save has ended. `undeletable`: files that were to go and are still there. */
  saved(
    saved: Pick<SavedEvent, 'path' | 'tensorPath'>,
    { bytes, tensors, seconds, capturedSeconds }: WriteStats,
    outcome: SaveOutcome | undefined,
    undeletable: ReadonlySet<string>,
  ): void {
    const bytesPerSecond = seconds > 0 ? bytes / seconds : 0;
    this.tell('saved', { ...saved, bytes, tensors, seconds, capturedSeconds, bytesPerSecond });
    for (const preserved of outcome?.preserved ?? []) this.tell('preserved', { path: preserved });
    for (const deleted of outcome?.deleted ?? []) {
      const remains = [...undeletable].some((file) => file.startsWith(`${deleted}.`));
      if (!remains) this.tell('deleted', { path: deleted });
    }
  }

  restored({ path, skipped, status }: Restored): void {
    for (const { path: damaged, error } of skipped) {
      this.tell('damaged', { path: damaged, error, restored: path });
      const message = `${damaged} can't be restored: ${error.message} ${path} was restored instead.`;
      this.warn({ kind: 'damaged', message, path: damaged, cause: error });
    }
    const unmatched = [
      ...status.unmatchedKeys.map((key) => `${key} has no object`),
      ...status.unmatchedObjects.map((object) => `${object} has no value there`),
    ];
    if (unmatched.length > 0) {
      const message = `${path} was restored in part: ${unmatched.join(', ')}.`;
      this.warn({ kind: 'unmatched', message, path });
    }
  }

  nothingRestored(skipped: readonly Skipped[]): void {
    for (const { path, error } of skipped) this.tell('damaged', { path, error, restored: null });
  }
}
