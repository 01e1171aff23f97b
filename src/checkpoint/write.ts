import { basename, dirname } from 'node:path';
import { type BundlePlan, type BundlePlanner, indexPath, parseDataName } from '../bundle/index.ts';
import { CheckpointError, invalidArgument, isCheckpointError } from '../errors.ts';
import type { SaveProgram, SaveProgramOptions, SaveStats } from '../native/contract.ts';
import { makeDirectoriesSync, type NativeWarning, readDirectorySync, runSave, type SaveRun } from '../native/engine.ts';
import type { Capture, Capturer } from './capture.ts';
import { type CheckpointFiles, composeRemoval, composeSave, composeState, type StatePublication } from './commit.ts';
import { announceWrite, enterPrefix, type Lane, leavePrefix } from './lanes.ts';
import type { NormalizedWriteOptions } from './options.ts';
import { deferred, runSteps, type Steps, wait } from './steps.ts';
import type { TrackableNode } from './trackable.ts';
import { type Resolve, walkSteps } from './tree.ts';
import type { WriteFailure, WriteHandle, WriteRequest, WriteStats, WriteWarning } from './write-handle.ts';

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

/** What a write does besides writing. */
export interface WriteExtras extends Pick<WriteRequest, 'createdDirectories' | 'finish' | 'onWarning'> {
  /**
   * Called when it is this write's turn, before anything is captured: makes the counter part of the tree, if it is to
   * be, and says whether it is.
   */
  readonly storesCounter: () => boolean;
  /** Called after deferred values were restored: the absolute prefix, for a save that numbers itself. */
  readonly number?: () => string;
  /** Takes back what `storesCounter` and `number` changed. */
  readonly rollback?: () => void;
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
  #run: SaveRun | undefined;
  #capture: Capture | undefined;
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
    this.#failure ??= { published: false, replaced: false, undone: true };
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
      rollback?.();
      throw error;
    } finally {
      this.#capture?.release();
      this.#host.lane.leave();
    }
  }

  *#write(storeSaveCounter: boolean): Steps<WriteStats> {
    const { createdDirectories } = this.#extras;
    this.#stopIfFailed();
    const tree = yield* walkSteps(this.#host.root(storeSaveCounter), this.#host.resolve, { prepare: true });
    this.#stopIfFailed();
    const capture = yield* this.#host.capturer.capture(tree);
    this.#capture = capture;
    this.#stopIfFailed();

    // From here to the submission nothing waits.
    const created = [...(createdDirectories ?? [])];
    const { plan, replaced } = this.#plan(capture, created);
    const withCallbacks = this.#options.writeCallbacks.length > 0;
    const state = withCallbacks ? undefined : this.#state(created);
    const options = programOptions(this.#options);
    const run = this.#submit(
      composeSave({ prefix: this.path, plan, replaced, createdDirectories: created, state, options }),
      plan,
    );
    announceWrite(tree.idOf, this.finished);
    const stats = yield* wait(
      withCallbacks ? this.#followWithCallbacks(run, replaced) : this.#follow(run, replaced !== undefined),
    );
    if (storeSaveCounter) this.#host.counterStored();
    return { ...stats, tensors: capture.tensors, bytes: plan.byteLength };
  }

  #stopIfFailed(): void {
    if (this.#failed) throw aborted(this.path, this.#options.signal);
  }

  /** Lays out the files, beside whatever there is under this prefix. */
  #plan(capture: Capture, created: string[]): { plan: BundlePlan; replaced: readonly string[] | undefined } {
    const directory = dirname(this.path);
    let names: readonly string[] | null = readDirectorySync(directory);
    if (names === null) {
      created.push(...makeDirectoriesSync(directory));
      names = [];
    }
    const data = dataFiles(this.path, names);
    // Also what an unknown writer left without an index: O_EXCL would refuse to write over it for ever.
    const taken = new Set(data.map((path) => parseDataName(path)!.count));
    const plan = this.#host.planner.plan(capture.entries, {
      prefix: this.path,
      shards: this.#options.shards,
      maxShardBytes: this.#options.maxShardBytes,
      avoidShardCounts: taken,
    });
    return { plan, replaced: names.includes(basename(indexPath(this.path))) ? data : undefined };
  }

  /** Asks the caller for the state file. */
  #state(created: string[]): StatePublication | undefined {
    const listings = new Map<string, readonly string[]>();
    const existingFiles = (directory: string): readonly string[] => {
      let names: readonly string[] | undefined = listings.get(directory);
      if (names === undefined) {
        names = readDirectorySync(directory) ?? [];
        listings.set(directory, names);
      }
      return names;
    };
    const request = this.#extras.finish?.({ existingFiles });
    if (request === undefined) return undefined;
    const { path, text, previous } = request.stateFile;
    if (path === this.path) {
      throw invalidArgument(`The checkpoint's path ${path} is that of the state file; save under another name.`, {
        path,
      });
    }
    if (readDirectorySync(dirname(path)) === null) created.push(...makeDirectoriesSync(dirname(path)));
    return {
      path,
      text,
      previous,
      deletions: request.deletePrefixes
        .filter((prefix) => prefix !== this.path)
        .map((prefix) => checkpointFiles(prefix, existingFiles(dirname(prefix)))),
      textAfterDeletion: request.stateFileAfterDeletion,
    };
  }

  #submit(program: SaveProgram, plan?: BundlePlan): SaveRun {
    this.#run = runSave(program, {
      names: plan === undefined ? undefined : (tensor) => plan.keyOf(tensor),
      onProgress: plan === undefined ? undefined : this.#options.onProgress,
      onWarning: (warning) => this.#warn(describeWarning(warning)),
    });
    return this.#run;
  }

  #warn(warning: WriteWarning): void {
    if (this.#extras.onWarning !== undefined) this.#extras.onWarning(warning);
    else process.emitWarning(warning.message, { type: 'CheckpointWarning', detail: warning.path });
  }

  #releaseWhenCaptured(run: SaveRun): void {
    run.captured.then(
      () => {
        this.#capture?.release();
        this.#captured.resolve();
      },
      () => {},
    );
  }

  async #follow(run: SaveRun, replaced: boolean): Promise<SaveStats> {
    this.#releaseWhenCaptured(run);
    run.indexed.then(this.#indexed.resolve, () => {});
    let committed = false;
    run.committed.then(
      () => {
        committed = true;
        this.#committed.resolve();
      },
      () => {},
    );
    try {
      return await run.finished;
    } catch (error) {
      if (!committed) throw this.#explain(error, run, replaced);
      // The checkpoint is durable and listed. What is left are files that were to be deleted, or their names in the
      // state file; the next save deletes and writes them again.
      this.#warn({
        kind: 'stateFile',
        message: `${this.path} is saved. After that: ${messageOf(error)}`,
        cause: error,
      });
      return NO_STATS;
    }
  }

  /** The index's commit, then the caller's callbacks, then the state file: two programs. */
  async #followWithCallbacks(run: SaveRun, replacedData: readonly string[] | undefined): Promise<SaveStats> {
    const replaced = replacedData !== undefined;
    this.#releaseWhenCaptured(run);
    run.indexed.then(this.#indexed.resolve, () => {});
    let stats: SaveStats;
    try {
      stats = await run.finished;
    } catch (error) {
      throw this.#explain(error, run, replaced);
    }
    try {
      for (const callback of this.#options.writeCallbacks) await callback(this.path);
    } catch (error) {
      throw await this.#takeBack(`A write callback failed: ${messageOf(error)}`, 'ABORTED', error, replaced);
    }
    try {
      const state = this.#state([]);
      if (state !== undefined) await this.#submit(composeState(state, programOptions(this.#options))).finished;
    } catch (error) {
      const code = isCheckpointError(error) ? error.code : 'IO_ERROR';
      throw await this.#takeBack(`Writing the state file failed: ${messageOf(error)}`, code, error, replaced);
    }
    this.#committed.resolve();
    return stats;
  }

  /** Removes a new prefix whose save failed after its index was in place; says what is there now. */
  async #takeBack(
    message: string,
    code: CheckpointError['code'],
    cause: unknown,
    replaced: boolean,
  ): Promise<CheckpointError> {
    let undone = false;
    if (!replaced) {
      try {
        await removeFiles(this.path, this.#options.durable);
        undone = true;
      } catch {
        // What failed first is what the caller has to know; that the files are still there is said below.
      }
    }
    this.#failure = { published: true, replaced, undone };
    return new CheckpointError(code, `${message} ${this.#outcome(replaced, undone)}`, { path: this.path, cause });
  }

  /** Adds to the error of a program that failed after its point of no return what it left. */
  #explain(error: unknown, run: SaveRun, replaced: boolean): unknown {
    const published = run.failure?.published ?? false;
    const undone = published ? !replaced && (run.failure?.undone ?? false) : true;
    this.#failure = { published, replaced, undone };
    if (!published || !isCheckpointError(error)) return error;
    const { code, message, path, key, offset, errno, syscall } = error;
    return new CheckpointError(code, `${message} ${this.#outcome(replaced, undone)}`, {
      path,
      key,
      offset,
      errno,
      syscall,
      cause: error,
    });
  }

  #outcome(replaced: boolean, undone: boolean): string {
    if (replaced) return `${this.path} had been replaced before that: it holds the new content, whole.`;
    return undone ? `${this.path} was removed again.` : `${this.path} could not be removed again.`;
  }
}

/** Removes the files of a checkpoint: the index, then, once that is durable, the data. Missing files are fine. */
export async function removeFiles(prefix: string, durable: boolean): Promise<void> {
  const names = readDirectorySync(dirname(prefix));
  if (names === null) return;
  const files = checkpointFiles(prefix, names);
  const failures: WriteWarning[] = [];
  const options = { threads: 0, stagingBytes: 0, copy: false, durable, direct: false, progress: false };
  await runSave(composeRemoval([files], options), {
    onWarning: (warning) => {
      if (warning.kind !== 'missing') failures.push(describeWarning(warning));
    },
  }).finished;
  const first = failures[0];
  if (first !== undefined) {
    throw new CheckpointError('IO_ERROR', `${prefix} could not be removed: ${first.message}`, { path: first.path });
  }
}

/** A checkpoint's own files among the names in its directory: exactly these, whatever glob characters it holds. */
export function checkpointFiles(prefix: string, names: readonly string[]): CheckpointFiles {
  return { index: indexPath(prefix), data: dataFiles(prefix, names) };
}

function dataFiles(prefix: string, names: readonly string[]): string[] {
  const base = basename(prefix);
  return names
    .filter((name) => name.startsWith(base) && parseDataName(name)?.base === base)
    .map((name) => `${prefix}${name.slice(base.length)}`);
}

export function programOptions(options: NormalizedWriteOptions): SaveProgramOptions {
  return {
    threads: options.threads,
    stagingBytes: options.stagingBytes,
    copy: options.snapshot === 'copy',
    durable: options.durable,
    direct: true,
    progress: options.onProgress !== undefined,
  };
}

/** Of a program whose last part failed. */
const NO_STATS: SaveStats = {
  bytesWritten: 0,
  bytesCopied: 0,
  directBytes: 0,
  syncs: 0,
  seconds: 0,
  capturedSeconds: 0,
  writeSeconds: 0,
  syncSeconds: 0,
};

function describeWarning(warning: NativeWarning & { key?: string }): WriteWarning {
  const { kind, key, path } = warning;
  const what = {
    changed: `${key ?? 'A tensor'} was changed while it was being saved; a consistent copy was stored. Save with snapshot: 'copy' to go on at once.`,
    unlink: `${path} could not be deleted`,
    missing: `${path} was to be deleted and is not there`,
    syncDirectory: `${path} could not be synced: what was deleted in it may come back after a power cut`,
  }[kind];
  const detail =
    warning.message === undefined || kind === 'changed' || kind === 'missing' ? '' : `: ${warning.message}`;
  return { kind, key, path, message: `${what}${detail}` };
}

function aborted(path: string, signal: AbortSignal | undefined): CheckpointError {
  return new CheckpointError('ABORTED', `The write of ${path} was aborted.`, { path, cause: signal?.reason });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
