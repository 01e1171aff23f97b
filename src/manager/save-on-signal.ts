import { constants } from 'node:os';
import { optionsObject } from '../checkpoint/option-checks.ts';
import { invalidArgument } from '../errors.ts';
import type { CheckpointManager } from './manager.ts';

/** Options of {@link saveOnSignal}. */
export interface SaveOnSignalOptions {
  /**
   * The signals by which this process is asked to end.
   *
   * @default ['SIGTERM']
   */
  signals?: readonly NodeJS.Signals[];
  /**
   * Seconds from the signal to the end, whatever is still under way then. Choose fewer than whoever sends the signal
   * grants (30 for Kubernetes, Slurm and Docker's `--stop-timeout 30`), for SIGKILL follows.
   *
   * @default 25
   */
  deadlineSeconds?: number;
  /**
   * true: the process then ends as the signal would have ended it. false: it goes on, and the loop sees by
   * `atStepBoundary()` that it shall stop; at the deadline it does end.
   *
   * @default true
   */
  end?: boolean;
}

/** Waits for a signal on behalf of a training loop; see {@link saveOnSignal}. */
export interface SignalSaver {
  /** The signal that has come; null: none yet. */
  readonly signal: NodeJS.Signals | null;
  /**
   * To be called between two steps, when all values are those of one step. Does nothing until a signal has come. Then
   * it saves, unless the save that the signal came upon has done it, and ends the process.
   *
   * @returns whether the loop shall stop: true only with `end: false`, and once all is saved.
   * @throws CheckpointError, with `end: false`, what the save threw; else that is a process warning.
   */
  atStepBoundary(): Promise<boolean>;
  /** Signals do again what they did before. */
  dispose(): void;
  [Symbol.dispose](): void;
}

const WHAT = 'saveOnSignal';
const NAMES: ReadonlySet<string> = new Set<keyof SaveOnSignalOptions>(['signals', 'deadlineSeconds', 'end']);

/**
 * Saves before this process is taken away (a preempted machine, a job at its time limit, a container that is stopped).
 *
 * When a signal comes while a save is under way, that one is finished; else one is made at the next step boundary,
 * whatever the manager's `checkpointInterval`. Then the process ends, by the same signal. A signal that comes again
 * changes nothing: `npm run` passes on what the terminal has sent already. What isn't durable at the deadline is lost,
 * and nothing else is: the checkpoint before it stays whole. For the main thread: Node tells
 * workers of no signals.
 *
 * @throws CheckpointError INVALID_ARGUMENT
 * @example
 * ```ts
 * const preemption = saveOnSignal(manager, { signals: ['SIGTERM', 'SIGUSR1'], deadlineSeconds: 20 });
 * while (step.value < 10_000) {
 *   await trainStep();
 *   step.increment();
 *   await manager.save();
 *   await preemption.atStepBoundary();
 * }
 * preemption.dispose();
 * ```
 */
export function saveOnSignal(manager: CheckpointManager, options?: SaveOnSignalOptions): SignalSaver {
  if (typeof (manager as Partial<CheckpointManager> | null)?.save !== 'function') {
    throw invalidArgument(`${WHAT}: the first argument must be a CheckpointManager.`);
  }
  return new Saver(manager, normalize(options));
}

function normalize(options: SaveOnSignalOptions | undefined): Required<SaveOnSignalOptions> {
  const given = optionsObject(options, NAMES, WHAT) as SaveOnSignalOptions;
  const { signals = ['SIGTERM'], deadlineSeconds = 25, end = true } = given;
  const known = Array.isArray(signals) && signals.length > 0 && signals.every((signal) => signal in constants.signals);
  if (!known || signals.includes('SIGKILL') || signals.includes('SIGSTOP')) {
    throw invalidArgument(
      `${WHAT}: signals must be names of signals that a process can catch, such as ['SIGTERM', 'SIGUSR1'], not ${String(signals)}.`,
    );
  }
  // A timer of Node's holds at most 2^31 - 1 milliseconds, and fires at once beyond.
  if (typeof deadlineSeconds !== 'number' || !(deadlineSeconds > 0 && deadlineSeconds <= 2_147_483)) {
    throw invalidArgument(`${WHAT}: deadlineSeconds must be a positive number of seconds, not ${deadlineSeconds}.`);
  }
  if (typeof end !== 'boolean') throw invalidArgument(`${WHAT}: end must be true or false, not ${String(end)}.`);
  return { signals: [...new Set(signals)], deadlineSeconds, end };
}

class Saver implements SignalSaver {
  readonly #manager: CheckpointManager;
  readonly #options: Required<SaveOnSignalOptions>;
  #signal: NodeJS.Signals | null = null;
  /** The save that was under way when the signal came; whether it has succeeded. */
  #underWay: Promise<boolean> | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #disposed = false;

  constructor(manager: CheckpointManager, options: Required<SaveOnSignalOptions>) {
    this.#manager = manager;
    this.#options = options;
    for (const signal of options.signals) process.on(signal, this.#onSignal);
  }

  get signal(): NodeJS.Signals | null {
    return this.#signal;
  }

  async atStepBoundary(): Promise<boolean> {
    if (this.#signal === null) return false;
    try {
      const isSaved = await this.#underWay;
      if (isSaved !== true) {
        await this.#manager.save({ checkInterval: false, enableAsync: false, whenBusy: 'wait' });
      }
    } catch (error) {
      if (!this.#options.end) throw error;
      warn(`The save at ${this.#signal} failed: ${error instanceof Error ? error.message : error}`);
    }
    if (this.#options.end) await this.#end();
    return true;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    clearTimeout(this.#deadline);
    for (const signal of this.#options.signals) process.off(signal, this.#onSignal);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  readonly #onSignal = (signal: NodeJS.Signals): void => {
    if (this.#signal !== null) return;
    this.#signal = signal;
    // A process that comes to its end by itself before the deadline is not held up.
    this.#deadline = setTimeout(() => this.#expire(), this.#options.deadlineSeconds * 1000).unref();
    if (!this.#manager.isSaving) return;
    this.#underWay = this.#manager.sync().then(
      () => true,
      (error) => {
        warn(`The save under way at ${signal} failed: ${error instanceof Error ? error.message : error}`);
        return false;
      },
    );
    this.#underWay.then((isSaved) => {
      if (isSaved && this.#options.end && !this.#disposed) this.#end();
    });
  };

  #expire(): void {
    const { deadlineSeconds } = this.#options;
    warn(`Ending ${deadlineSeconds} s after ${this.#signal}: nothing was saved since, the last checkpoint stays.`);
    this.#end();
  }

  /** Doesn't come back. */
  #end(): Promise<never> {
    const signal = this.#signal!;
    this.dispose();
    process.kill(process.pid, signal);
    // Where another listener, or Node's debugger, has the signal for itself.
    setTimeout(() => process.exit(128 + constants.signals[signal]), 100);
    return new Promise(() => {});
  }
}

function warn(message: string): void {
  process.emitWarning(message, { type: 'CheckpointWarning', code: 'signal' });
}
