import type { BundlePlan, BundlePlanner } from '../bundle/index.ts';
import { isCheckpointError } from '../errors.ts';
import type { SaveProgram } from '../native/contract.ts';
import { runSave, type SaveRun, type SaveStats } from '../native/engine.ts';
import { deferred, ONE_TURN, runSteps, ShortTurns, type Steps, wait } from '../steps.ts';
import { type Capturer, Frozen } from './capture.ts';
import { removeFiles } from './checkpoint-files.ts';
import { composeSave, composeState } from './commit.ts';
import { Directories } from './directories.ts';
import { announceWrite, enterPrefix, type Lane, leavePrefix } from './lanes.ts';
import type { NormalizedWriteOptions } from './options.ts';
import type { TrackableNode } from './trackable.ts';
import { type Resolve, walkSteps } from './tree.ts';
import { describeWarning, warnProcess } from './warnings.ts';
import type { WriteFailure, WriteHandle, WriteRequest, WriteStats, WriteWarning } from './write-handle.ts';
import { aborted, explain, failureOf, messageOf, NO_STATS, NOTHING_PUBLISHED } from './write-outcome.ts';
import { placeFiles, planOptions, planState, programOptions } from './write-plan.ts';

/** What a write needs of its Checkpoint. */
export interface WriteHost {
  readonly resolve: Resolve;
  readonly capturer: Capturer;
  readonly planner: BundlePlanner;
  /** Operations of one Checkpoint run one after the other: they share objects and the save counter. */
  readonly lane: Lane;
  /** The root to be saved; with `counter`, the save counter is one of its children. */
  root(counter: boolean): TrackableNode;
  /** Restores what has appeared since the last restore; see LoadStatus.applyDeferred. */
  applyDeferred(): Steps<void>;
  /** A write that stored the save counter has succeeded. */
  counterStored(): void;
}

/**
 * A tree of up to so many values is planned and submitted in the turn in which it was captured: from then on the write
 * commits even if JavaScript never yields again.
 */
const VALUES_AT_ONCE = 256;

/** What a write does besides writing. */
export interface WriteExtras extends Pick<WriteRequest, 'createdDirectories' | 'finish' | 'onWarning' | 'atOnce'> {
  /**
   * Called when it is this write's turn, before anything is captured: makes the counter part of the tree, if it is to
   * be, and says whether it is.
   */
  readonly storesCounter: () => boolean;
  /** Called after deferred values were restored: the absolute prefix, for a save that numbers itself. */
  readonly number?: () => string;
  /**
   * Takes back what `storesCounter` and `number` changed. Called before the next operation of the Checkpoint begins.
   * `captured`: a caller that waits only for the capture has not heard of this failure.
   */
  readonly rollback?: (error: unknown, captured: boolean) => void;
}

/**
 * One write of a tree to one prefix: it waits for its turn, captures, plans, submits the program, and follows it.
 * Everything up to the submission happens in the turn of the constructor where nothing has to be waited for.
 */
export class Write implements WriteHandle {
  #path: string;
  readonly #host: WriteHost;
  readonly #options: NormalizedWriteOptions;
  readonly #extras: WriteExtras;
  readonly #captured = deferred<void>();
  readonly #indexed = deferred<void>();
  readonly #committed = deferred<void>();
  readonly #finished = deferred<WriteStats>();
  #failure: WriteFailure | null = null;
  #failed = false;
  #wasCaptured = false;
  #run: SaveRun | undefined;
  #frozen: Frozen | undefined;
  #plan: BundlePlan | undefined;
  readonly #onAbort = () => this.abort();

  /** @param path absolute prefix; of a save that numbers itself, without the number. */
  constructor(host: WriteHost, path: string, options: NormalizedWriteOptions, extras: WriteExtras) {
    this.#path = path;
    this.#host = host;
    this.#options = options;
    this.#extras = extras;
    if (options.signal?.aborted) {
      this.#fail(aborted(path, options.signal));
      return;
    }
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
    runSteps(
      this.#steps(),
      (stats) => {
        options.signal?.removeEventListener('abort', this.#onAbort);
        this.#finished.resolve(stats);
      },
      (error) => {
        options.signal?.removeEventListener('abort', this.#onAbort);
        this.#fail(error);
      },
    );
  }

  get path(): string {
    return this.#path;
  }

  get captured(): Promise<void> {
    return this.#captured.promise;
  }

  get indexed(): Promise<void> {
    return this.#indexed.promise;
  }

  get committed(): Promise<void> {
    return this.#committed.promise;
  }

  get finished(): Promise<WriteStats> {
    return this.#finished.promise;
  }

  get failure(): WriteFailure | null {
    return this.#failure;
  }

  abort(): void {
    if (this.#run !== undefined) this.#run.abort();
    // Still waiting or preparing: the caller hears at once, and the steps stop where they next look.
    else this.#fail(aborted(this.path, this.#options.signal));
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#failure ??= NOTHING_PUBLISHED;
    for (const part of [this.#captured, this.#indexed, this.#committed, this.#finished]) part.reject(error);
  }

  *#steps(): Steps<WriteStats> {
    const { storesCounter, number, rollback } = this.#extras;
    yield* wait(this.#host.lane.enter());
    try {
      this.#stopIfFailed();
      const storeSaveCounter = storesCounter();
      yield* this.#host.applyDeferred();
      if (number !== undefined) this.#path = number();
      const path = this.#path;
      yield* wait(enterPrefix(path));
      try {
        return yield* this.#write(storeSaveCounter);
      } finally {
        leavePrefix(path);
      }
    } catch (error) {
      rollback?.(error, this.#wasCaptured);
      throw error;
    } finally {
      this.#frozen?.release();
      this.#plan?.free();
      this.#host.lane.leave();
    }
  }

  *#write(storeSaveCounter: boolean): Steps<WriteStats> {
    const { createdDirectories } = this.#extras;
    this.#stopIfFailed();
    const walk = {
      prepare: true,
      turns: this.#extras.atOnce ? ONE_TURN : new ShortTurns(),
      visitedAtOnce: this.#host.capturer.expectsMany ? 0 : undefined,
      lastNames: this.#host.capturer.lastNames,
    };
    const tree = yield* walkSteps(this.#host.root(storeSaveCounter), this.#host.resolve, walk);
    this.#stopIfFailed();
    announceWrite(tree.idOf, this.finished);
    const turns = tree.values.length <= VALUES_AT_ONCE ? ONE_TURN : walk.turns;
    const frozen = yield* Frozen.of(tree, turns, this.#host.capturer.lastValues);
    this.#frozen = frozen;
    yield* frozen.freeze();
    const { columns, tensors } = yield* this.#host.capturer.capture(tree, frozen, turns);
    this.#stopIfFailed();

    const directories = new Directories(createdDirectories);
    const place = placeFiles(this.path, directories);
    const { replaced } = place;
    const plan = yield* this.#host.planner.planColumns(columns, planOptions(place, this.#options), turns);
    this.#plan = plan;
    frozen.sources.free();
    this.#stopIfFailed();
    // Others may have written there while this was planned.
    if (turns !== ONE_TURN) directories.forget();
    // From here to the submission nothing waits.
    const withCallbacks = this.#options.writeCallbacks.length > 0;
    const state = withCallbacks ? undefined : planState(this.path, this.#extras.finish, directories);
    const options = programOptions(this.#options, plan);
    const run = this.#submit(
      composeSave({ prefix: this.path, plan, replaced, createdDirectories: directories.created, state, options }),
      plan,
    );
    this.#releaseWhenCaptured(run);
    run.indexed.then(this.#indexed.resolve, () => {});
    if (!withCallbacks) run.committed.then(this.#committed.resolve, () => {});
    const stats = yield* wait(this.#follow(run, replaced !== undefined));
    if (withCallbacks) yield* wait(this.#followUp(replaced !== undefined));
    if (storeSaveCounter) this.#host.counterStored();
    return { ...stats, tensors, bytes: plan.byteLength };
  }

  #stopIfFailed(): void {
    if (this.#failed) throw aborted(this.path, this.#options.signal);
  }

  #submit(program: SaveProgram, plan?: BundlePlan): SaveRun {
    this.#run = runSave(program, {
      names: plan === undefined ? undefined : (tensor) => plan.keyOf(tensor),
      onProgress: plan === undefined ? undefined : this.#options.onProgress,
      onWarning: (warning) => this.#warn(describeWarning(warning)),
    });
    return this.#run;
  }

  /** An abort as the caller knows it: of this path, for the reason that the signal gives. */
  #named(error: unknown): unknown {
    return isCheckpointError(error) && error.code === 'ABORTED' ? aborted(this.path, this.#options.signal) : error;
  }

  #warn(warning: WriteWarning): void {
    (this.#extras.onWarning ?? warnProcess)(warning);
  }

  #releaseWhenCaptured(run: SaveRun): void {
    run.captured.then(
      () => {
        this.#frozen?.release();
        this.#wasCaptured = true;
        this.#captured.resolve();
      },
      () => {},
    );
  }

  /**
   * Waits for a program. What fails behind its commit is a warning: the checkpoint is durable and listed.
   *
   * @param replaced undefined for the program of a state file alone, whose failure the caller explains.
   */
  async #follow(run: SaveRun, replaced: boolean | undefined): Promise<SaveStats> {
    let committed = false;
    run.committed.then(
      () => {
        committed = true;
      },
      () => {},
    );
    try {
      return await run.finished;
    } catch (error) {
      if (!committed) {
        if (replaced === undefined) throw error;
        this.#failure = failureOf(run, replaced);
        throw explain(this.#named(error), this.path, this.#failure);
      }
      // What is left are files that were to be deleted, or their names in the state file: the next save's business.
      const message = `${this.path} is saved. After that: ${messageOf(error)}`;
      this.#warn({ kind: 'stateFile', message, cause: error });
      return NO_STATS;
    }
  }

  /** The caller's callbacks and then the state file, once the checkpoint is in place under its prefix. */
  async #followUp(replaced: boolean): Promise<void> {
    try {
      for (const callback of this.#options.writeCallbacks) await callback(this.path);
    } catch (error) {
      throw await this.#takeBack(error, replaced, 'A write callback failed: ');
    }
    try {
      const state = planState(this.path, this.#extras.finish, new Directories());
      const options = programOptions(this.#options, undefined);
      if (state !== undefined) await this.#follow(this.#submit(composeState(state, options)), undefined);
    } catch (error) {
      throw await this.#takeBack(error, replaced, 'Writing the state file failed: ');
    }
    this.#committed.resolve();
  }

  /** Removes a new prefix whose save failed after its index was in place. Returns the error that says so. */
  async #takeBack(error: unknown, replaced: boolean, what: string): Promise<unknown> {
    let undone = false;
    try {
      if (!replaced) {
        await removeFiles(this.path, this.#options.durable);
        undone = true;
      }
    } catch {
      // What failed first is what the caller has to know; that files are still there is said with it.
    }
    this.#failure = { published: true, replaced, undone };
    return explain(error, this.path, this.#failure, what);
  }
}
