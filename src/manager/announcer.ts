import type { EventEmitter } from 'node:events';
import type { ManagerEvents, ManagerWarning } from './events.ts';

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
}
