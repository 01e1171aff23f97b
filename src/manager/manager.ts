import { EventEmitter } from 'node:events';
import { basename } from 'node:path';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { Lane } from '../checkpoint/lanes.ts';
import type { WriteStats } from '../checkpoint/write-handle.ts';
import { CheckpointError, invalidArgument } from '../errors.ts';
import { Announcer } from './announcer.ts';
import { DirectoryBook } from './book.ts';
import type { ManagerEvents, ManagerWarning } from './events.ts';
import { restoreCandidates, restoreNewest } from './fallback.ts';
import { numberOf } from './inventory.ts';
import {
  type CheckpointManagerOptions,
  type NormalizedManagerOptions,
  normalizeManagerOptions,
  normalizeSaveOptions,
  type SaveOptions,
} from './options.ts';
import { PendingSave, type SaveHandle } from './pending-save.ts';
import { clearLeftovers, type Leftovers } from './recovery.ts';
import { shouldSave } from './save-decision.ts';

/**
 * Keeps the checkpoints of a run in a directory: numbers them, lists them in the state file, deletes the oldest, and
 * restores the newest that is whole. tf.train.CheckpointManager, on the same files.
 *
 * @example
 * ```ts
 * const manager = new CheckpointManager(checkpoint, { directory: '/tmp/run', maxToKeep: 3 });
 * await manager.restoreOrInitialize();
 * for (; step.value < 1000; step.increment()) {
 *   train();
 *   await manager.save();
 * }
 * await manager.close();
 * ```
 *
 * Saves, restores and close() run one after the other, in the order in which they were called. A save that has none of
 * them before it is on its way when begin() returns, and commits even if JavaScript never yields again. save() captures
 * the values before it returns too (above 4096 objects, or entries of all arrays and plain objects together: over several
 * turns of the event loop, before it resolves), but above 256 values it plans for two milliseconds of the caller's turn at most: what is
 * left then waits for the event loop to turn.
 * See {@link ManagerEvents} for the events.
 */
export class CheckpointManager extends EventEmitter<ManagerEvents> {
  readonly checkpoint: Checkpoint;
  /** Absolute. */
  readonly directory: string;
  /** Steps between saves; null: every save() saves. */
  readonly checkpointInterval: number | null;
  readonly #options: NormalizedManagerOptions;
  readonly #book: DirectoryBook;
  readonly #announcer = new Announcer(this);
  readonly #lane = new Lane();
  /** Saves that have been asked for and have not ended, oldest first. */
  readonly #saves: PendingSave[] = [];
  /** Step of the last save or restore that has succeeded. */
  #lastStep: number | null;
  /** A latest that this run has neither restored nor saved; null: none. */
  #unrestored: string | null;
  /** A save whose failure nobody may have heard of. */
  #backgroundFailure: { readonly save: PendingSave; readonly error: unknown } | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Reads the state file and locks the directory, where they exist already.
   *
   * @throws CheckpointError INVALID_ARGUMENT naming the option; DIRECTORY_LOCKED if another manager is active there.
   */
  constructor(checkpoint: Checkpoint, options: CheckpointManagerOptions) {
    super();
    this.#options = normalizeManagerOptions(checkpoint, options);
    this.checkpoint = checkpoint;
    this.directory = this.#options.directory;
    this.checkpointInterval = this.#options.checkpointInterval;
    this.#lastStep = this.#options.lastCheckpointStep;
    const warnings: ManagerWarning[] = [];
    this.#book = new DirectoryBook(this.#options, (warning) => warnings.push(warning));
    this.#unrestored = this.#book.state.latest;
    // Whoever has just called the constructor can't have a listener yet.
    if (warnings.length > 0) {
      process.nextTick(() => {
        for (const warning of warnings) this.#announcer.warn(warning);
      });
    }
    if (this.#book.leftovers !== undefined) this.#recover(this.#book.leftovers);
  }

  /** Full prefix of the newest checkpoint. Not checked: see {@link restoreOrInitialize}. */
  get latestCheckpoint(): string | null {
    return this.#book.state.latest;
  }

  /** Full prefixes of the checkpoints that this manager keeps and may delete, oldest first. */
  get checkpoints(): readonly string[] {
    return [...this.#book.state.managed.keys()];
  }

  /** Whether a save is under way or waits for its turn. */
  get isSaving(): boolean {
    return this.#saves.length > 0;
  }

  /**
   * Saves, then deletes what is too much. With `enableAsync` it resolves once the values are captured.
   *
   * @returns the checkpoint's full prefix; null if it isn't time yet, or if `whenBusy: 'skip'` and a save is under way.
   * @throws CheckpointError: INVALID_ARGUMENT, NO_SPACE, IO_ERROR, ABORTED, DIRECTORY_LOCKED… A failed save changes
   *   nothing: not the numbering, the step, the state file, the files there. Also the failure of an earlier
   *   asynchronous save that nobody has heard of yet; then nothing is saved.
   */
  async save(options?: SaveOptions): Promise<string | null> {
    const save = this.#begin(options, true);
    if (save === null) return null;
    await (save.options.enableAsync ? save.captured : save.finished).promise;
    return save.path;
  }

  /**
   * What save() is made of: begins a save and returns at once.
   *
   * @returns null where save() would return null.
   * @throws CheckpointError as save(), at once for what can be known at once; else the handle's promises reject.
   */
  begin(options?: SaveOptions): SaveHandle | null {
    return this.#begin(options, false)?.handle() ?? null;
  }

  /**
   * Restores the newest checkpoint, or calls `initFn` where there is none. One that is missing or damaged is passed
   * over for the next older one, with the events `damaged` and `warning`, unless `onDamaged: 'throw'`.
   *
   * @returns the full prefix of what was restored, or null.
   * @throws CheckpointError NOT_FOUND or DATA_LOSS if nothing could be restored; SHAPE_MISMATCH, DTYPE_MISMATCH.
   */
  async restoreOrInitialize(): Promise<string | null> {
    this.#checkOpen('restoreOrInitialize');
    await this.#lane.enter();
    try {
      if (this.#options.readOnly) this.#book.reload();
      const { latest } = this.#book.state;
      if (latest !== null) return await this.#restore(latest);
    } finally {
      this.#lane.leave();
    }
    await this.#options.initFn?.();
    return null;
  }

  /** Waits for saves and restores under way; raises the failure of an asynchronous save that nobody has heard of. */
  async sync(): Promise<void> {
    await this.#lane.enter();
    this.#lane.leave();
    await this.checkpoint.sync();
    this.#raiseBackgroundFailure();
  }

  /**
   * Waits for what is under way and gives up the directory's lock. The Checkpoint stays usable; this manager doesn't.
   *
   * @throws CheckpointError: the failure of an asynchronous save that nobody has heard of. It is closed all the same.
   */
  close(): Promise<void> {
    // Only the first caller is told of the failure.
    if (this.#closing !== undefined) return this.#closing.catch(() => {});
    this.#closing = this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    await this.#lane.enter();
    this.#book.release();
    this.#lane.leave();
    this.#raiseBackgroundFailure();
  }

  #begin(options: SaveOptions | undefined, isAwaited: boolean): PendingSave | null {
    this.#checkOpen('save');
    if (this.#options.readOnly) {
      throw invalidArgument(`This CheckpointManager of ${this.directory} is readOnly: it can't save.`);
    }
    const normalized = normalizeSaveOptions(options, this.#options.write);
    this.#raiseBackgroundFailure();
    if (normalized.whenBusy === 'skip' && this.#saves.length > 0) return null;
    const { checkInterval, checkpointNumber } = normalized;
    const interval = this.checkpointInterval;
    const step = interval === null ? 0 : this.#currentStep();
    const lastStep = this.#saves.at(-1)?.step ?? this.#lastStep;
    if (!shouldSave({ interval, lastStep, step, checkInterval })) return null;

    const ahead = this.#saves.filter(({ counted }) => counted === undefined).length;
    const number = checkpointNumber ?? this.checkpoint.saveCounter.value + ahead + 1;
    const save = new PendingSave(normalized, interval === null ? null : step, `${this.#book.prefix}-${number}`);
    save.isAwaited = isAwaited && !normalized.enableAsync;
    save.atOnce = !isAwaited;
    this.#saves.push(save);
    const turn = this.#lane.enter();
    if (turn === undefined) this.#start(save);
    else turn.then(() => this.#start(save));
    return save;
  }

  /** It is this save's turn. Everything up to the submission happens now. */
  #start(save: PendingSave): void {
    try {
      save.throwIfAborted();
      this.#raiseBackgroundFailure();
      this.#book.prepareForWriting((warning) => this.#announcer.warn(warning));
      const counter = this.checkpoint.saveCounter;
      const before = counter.value;
      const number = save.options.checkpointNumber ?? before + 1;
      save.path = `${this.#book.prefix}-${number}`;
      if (save.options.checkpointNumber === undefined) this.#warnIfUnrestored(number);
      save.counted = { before, after: counter.increment() };
      const undeletable = new Set<string>();
      const write = this.checkpoint.beginWrite(save.path, {
        ...save.options.write,
        storeSaveCounter: true,
        atOnce: save.atOnce,
        createdDirectories: this.#book.unsynced,
        finish: () => {
          // From here on nothing asks this thread any more.
          const { request, outcome } = this.#book.composeSave(save.path);
          save.outcome = outcome;
          return request;
        },
        onWarning: (warning) => {
          if (warning.kind === 'unlink' && warning.path !== undefined) undeletable.add(warning.path);
          this.#announcer.warn(warning);
        },
      });
      save.follow(write);
      write.captured.then(
        () => {
          save.isCaptured = true;
          save.captured.resolve();
        },
        () => {},
      );
      write.committed.then(
        () => this.#committed(save),
        () => {},
      );
      write.finished.then(
        (stats) => this.#finished(save, stats, undeletable),
        (error) => this.#failed(save, error),
      );
    } catch (error) {
      this.#failed(save, error);
    }
  }

  #committed(save: PendingSave): void {
    const { outcome } = save;
    if (save.isCommitted || outcome === undefined) return;
    save.isCommitted = true;
    this.#book.saved(outcome);
    this.#lastStep = save.step ?? this.#lastStep;
    this.#unrestored = null;
    save.captured.resolve();
    save.committed.resolve(save.path);
  }

  #finished(save: PendingSave, stats: WriteStats, undeletable: ReadonlySet<string>): void {
    this.#committed(save);
    this.#end(save);
    const { tensorPath } = this.checkpoint;
    const saved = tensorPath === undefined ? { path: save.path } : { path: save.path, tensorPath };
    this.#announcer.saved(saved, stats, save.outcome, undeletable);
    save.finished.resolve();
  }

  #failed(save: PendingSave, error: unknown): void {
    this.#end(save);
    if (save.isCommitted) {
      const message = `${save.path} is saved, but tidying up after it failed: ${messageOf(error)}`;
      this.#announcer.warn({ kind: 'cleanup', message, path: save.path, cause: error });
      save.finished.resolve();
      return;
    }
    const counter = this.checkpoint.saveCounter;
    // Somebody else may have set it meanwhile.
    if (save.counted !== undefined && counter.value === save.counted.after) counter.value = save.counted.before;
    const isBackground = save.options.enableAsync ? save.isCaptured : true;
    if (isBackground && !save.isAwaited) this.#backgroundFailure ??= { save, error };
    save.reject(error);
  }

  #end(save: PendingSave): void {
    this.#saves.splice(this.#saves.indexOf(save), 1);
    this.#lane.leave();
  }

  async #restore(latest: string): Promise<string> {
    const onWarning = (warning: ManagerWarning) => this.#announcer.warn(warning);
    const restore = (path: string) => this.checkpoint.restoreInternal(path, { ...this.#options.read, onWarning });
    const restored =
      this.#options.onDamaged === 'throw'
        ? { path: latest, skipped: [], status: await restore(latest) }
        : await restoreNewest(restoreCandidates(this.#book.state, this.#book.prefix), restore, (skipped) =>
            this.#announcer.nothingRestored(skipped),
          );
    const { path, skipped } = restored;
    this.#book.restored(
      path,
      skipped.map((one) => one.path),
    );
    if (this.checkpointInterval !== null) this.#lastStep = this.#currentStep();
    this.#unrestored = null;
    this.#announcer.restored(restored);
    return path;
  }

  /** Clears away what killed saves have left, before anything else has its turn. */
  #recover(leftovers: Leftovers): void {
    this.#lane.enter();
    const warn = (warning: ManagerWarning) => this.#announcer.warn(warning);
    clearLeftovers(leftovers, warn)
      .catch((error) => {
        const message = `What a killed save has left in ${this.directory} could not be cleared away: ${messageOf(error)}`;
        warn({ kind: 'recovery', message, path: this.directory, cause: error });
      })
      .finally(() => this.#lane.leave());
  }

  #warnIfUnrestored(number: number): void {
    const latest = this.#unrestored;
    if (latest === null) return;
    this.#unrestored = null;
    const newest = numberOf(basename(latest), basename(this.#book.prefix));
    if (newest === null || number > newest) return;
    const message =
      `${latest} was not restored, so numbering starts again at ${number}: what is older by date will be deleted, ` +
      'or saved over. Call restoreOrInitialize() first to go on from it.';
    this.#announcer.warn({ kind: 'unrestored', message, path: latest });
  }

  #currentStep(): number {
    const step: unknown = this.#options.stepCounter?.value;
    if (!Number.isSafeInteger(step)) {
      throw invalidArgument(`CheckpointManager: the stepCounter's value must be an integer, not ${String(step)}.`);
    }
    return step as number;
  }

  #checkOpen(what: string): void {
    if (this.#closing !== undefined) {
      throw new CheckpointError('INVALID_ARGUMENT', `${what}: this CheckpointManager is closed; make a new one.`, {
        path: this.directory,
      });
    }
  }

  #raiseBackgroundFailure(): void {
    const failure = this.#backgroundFailure;
    this.#backgroundFailure = undefined;
    if (failure !== undefined && !failure.save.isAwaited) throw failure.error;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
