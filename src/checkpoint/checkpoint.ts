import { basename, dirname, join, resolve as resolvePath } from 'node:path';
import { type Bundle, BundlePlanner, openBundle } from '../bundle/index.ts';
import { CheckpointError, invalidArgument, isCheckpointError } from '../errors.ts';
import { stat } from '../native/engine.ts';
import { Capturer } from './capture.ts';
import { Counter } from './counter.ts';
import { OBJECT_GRAPH_KEY } from './keys.ts';
import { Lane, writesOf } from './lanes.ts';
import { checkMatches, loadMatches } from './load.ts';
import { CheckpointLoadStatus, type LoadStatus, NothingRestored } from './load-status.ts';
import { graphByNames } from './name-graph.ts';
import { decodeObjectGraph } from './object-graph.ts';
import {
  type NormalizedReadOptions,
  type NormalizedWriteOptions,
  normalizeReadOptions,
  normalizeWriteOptions,
  type ReadOptions,
  type WriteOptions,
} from './options.ts';
import { RestoreOrder, RestoreSession } from './restore-session.ts';
import { RootObjects } from './root.ts';
import { printCheckpointState } from './state-file.ts';
import { promiseOf, type Steps, wait } from './steps.ts';
import type { Adapter } from './trackable.ts';
import { createResolver } from './trackables.ts';
import { type ObjectTree, type Resolve, walkNow } from './tree.ts';
import { Write, type WriteExtras, type WriteHost } from './write.ts';
import type { WriteHandle, WriteRequest } from './write-handle.ts';

/** Restores with values still waiting for their objects that are remembered; see {@link LoadStatus.applyDeferred}. */
const REMEMBERED_RESTORES = 4;

export interface CheckpointOptions {
  /** What teaches this checkpoint about other objects, for example `tfjs(tf)`. */
  adapters?: Adapter[];
}

/**
 * A tree of objects that is saved to and restored from TensorFlow checkpoints: tf.train.Checkpoint.
 *
 * @example
 * ```ts
 * const checkpoint = new Checkpoint({ step: new Counter(), weights: { kernel, bias } });
 * const path = await checkpoint.save('/tmp/run/ckpt'); // '/tmp/run/ckpt-1'
 * (await checkpoint.restore(path)).assertConsumed();
 * ```
 *
 * Operations of one Checkpoint run one after the other, in the order in which they were called. A write that has
 * nothing to wait for is on its way when the call returns, and commits even if JavaScript never yields again.
 */
export class Checkpoint {
  /** Number of the last save, an int64 scalar; restored with the checkpoint. */
  readonly saveCounter: Counter = new Counter();
  readonly #objects: RootObjects;
  readonly #resolve: Resolve;
  readonly #lane = new Lane();
  readonly #host: WriteHost;
  readonly #restores = new RestoreOrder();
  /** Newest first. */
  #sessions: RestoreSession[] = [];
  /** A save or a restore has made the counter part of the tree. */
  #counterCreated = false;
  #asyncFailure: unknown;

  /**
   * @param objects by name: HostTensor, Counter, objects with `serialize()` and `deserialize()`, nested plain objects and
   *   arrays of these, objects with `checkpointChildren()`, and what the adapters know. It is read anew at each save
   *   and restore: objects may be added later.
   * @throws CheckpointError INVALID_ARGUMENT naming what can't be saved.
   */
  constructor(objects: Record<string, unknown>, options: CheckpointOptions = {}) {
    const adapters = checkAdapters(options);
    this.#resolve = createResolver(adapters);
    this.#objects = new RootObjects(this, objects, this.saveCounter);
    for (const [name, value] of this.#objects.node(() => false).children!()) {
      this.#resolve(value, () => `checkpoint[${JSON.stringify(name)}]`);
    }
    this.#host = {
      resolve: this.#resolve,
      capturer: new Capturer(),
      planner: new BundlePlanner(),
      lane: this.#lane,
      root: (counter) => this.#objects.node(() => counter || this.#counterCreated),
      applyDeferred: () => this.#applyAllDeferred(),
      counterStored: () => {
        if (this.#counterCreated) return;
        this.#counterCreated = true;
        // It has a value of its own now: one that an earlier read() left waiting must not replace it.
        this.#restores.restored(this.saveCounter, this.#restores.next());
      },
    };
  }

  /** A Checkpoint may be part of another one. */
  checkpointChildren(): Record<string, unknown> {
    return Object.fromEntries(this.#objects.node(() => this.#counterCreated).children!());
  }

  /**
   * Saves under the next number and names it, alone, in the state file of the prefix's directory.
   *
   * @param prefix path without the number: `/tmp/run/ckpt` saves `/tmp/run/ckpt-1`. Directories are created.
   * @returns the path with the number, for {@link restore}.
   * @throws CheckpointError: NO_SPACE, IO_ERROR, ABORTED, INVALID_ARGUMENT… A failed save changes nothing: not the
   *   counter, not the state file, not the files there.
   */
  async save(prefix: string, options?: WriteOptions): Promise<string> {
    const what = 'Checkpoint.save';
    const normalized = this.#checkWrite(options, what);
    const base = absolutePrefix(prefix, what);
    let number = 0;
    let before: { value: number; created: boolean } | undefined;
    const write = this.#begin(base, normalized, {
      storesCounter: () => {
        before = { value: this.saveCounter.value, created: this.#counterCreated };
        // Part of the tree before deferred values are restored: after a read() the stored number is gone on from.
        this.#counterCreated = true;
        return true;
      },
      number: () => {
        before!.value = this.saveCounter.value;
        number = this.saveCounter.increment();
        return `${base}-${number}`;
      },
      rollback: () => {
        if (before === undefined) return;
        this.saveCounter.value = before.value;
        this.#counterCreated = before.created;
      },
      finish: ({ existingFiles }) => {
        const name = `${basename(base)}-${number}`;
        const directory = dirname(base);
        const text = printCheckpointState({
          modelCheckpointPath: name,
          allModelCheckpointPaths: [name],
          allModelCheckpointTimestamps: [],
          lastPreservedTimestamp: 0,
        });
        const previous = existingFiles(directory).includes('checkpoint') ? undefined : null;
        return { stateFile: { path: join(directory, 'checkpoint'), text, previous }, deletePrefixes: [] };
      },
    });
    await this.#settle(write, normalized);
    return `${prefix}-${number}`;
  }

  /**
   * Saves under exactly this prefix: no number, no state file. An existing checkpoint is replaced in one step.
   *
   * @returns `prefix`, for {@link read}.
   * @throws CheckpointError as {@link save}.
   */
  async write(prefix: string, options?: WriteOptions): Promise<string> {
    const what = 'Checkpoint.write';
    const normalized = this.#checkWrite(options, what);
    const write = this.#begin(absolutePrefix(prefix, what), normalized, {
      storesCounter: () => this.#counterCreated,
    });
    await this.#settle(write, normalized);
    return prefix;
  }

  /**
   * Restores a checkpoint of {@link save}, the save counter included. What it can't match now is restored when its
   * object appears: see {@link LoadStatus.applyDeferred}.
   *
   * @param prefix null restores nothing; the assertions of its status fail.
   * @throws CheckpointError NOT_FOUND; DATA_LOSS naming key and file; SHAPE_MISMATCH or DTYPE_MISMATCH, with all
   *   `problems`, before anything was changed; `overwritten` lists the keys of objects that were already changed.
   */
  async restore(prefix: string | null, options?: ReadOptions): Promise<LoadStatus> {
    const normalized = normalizeReadOptions(options, 'Checkpoint.restore');
    if (prefix === null) return new NothingRestored({ tree: () => this.#tree() });
    return await this.#restore(absolutePrefix(prefix, 'Checkpoint.restore'), normalized, true);
  }

  /** Restores a checkpoint of {@link write}: like {@link restore}, but expects no save counter. */
  async read(prefix: string, options?: ReadOptions): Promise<LoadStatus> {
    const normalized = normalizeReadOptions(options, 'Checkpoint.read');
    return await this.#restore(absolutePrefix(prefix, 'Checkpoint.read'), normalized, false);
  }

  /** Waits for asynchronous saves; raises the failure of one that nobody has heard of. */
  async sync(): Promise<void> {
    await this.#lane.enter();
    this.#lane.leave();
    this.#raiseAsyncFailure();
  }

  /**
   * Begins a write to an absolute prefix. Submitted before this returns, unless it has to wait for another operation,
   * for an object's prepare() or promised source, or for values whose objects have appeared since the last restore.
   *
   * @internal for the manager.
   */
  beginWrite(prefix: string, request: WriteRequest): WriteHandle {
    const { storeSaveCounter, finish, createdDirectories, onWarning, ...options } = request;
    const normalized = normalizeWriteOptions(options, 'save');
    return this.#begin(absolutePrefix(prefix, 'save'), normalized, {
      storesCounter: () => storeSaveCounter || this.#counterCreated,
      finish,
      createdDirectories,
      onWarning,
    });
  }

  /** @internal for the manager: {@link restore} with options that were validated. */
  restoreInternal(prefix: string, options: NormalizedReadOptions): Promise<LoadStatus> {
    return this.#restore(absolutePrefix(prefix, 'restore'), options, true);
  }

  #begin(path: string, options: NormalizedWriteOptions, extras: WriteExtras): Write {
    return new Write(this.#host, path, options, extras);
  }

  #checkWrite(options: WriteOptions | undefined, what: string): NormalizedWriteOptions {
    const normalized = normalizeWriteOptions(options, what);
    if (normalized.whenBusy === 'skip') {
      throw invalidArgument(`${what} always writes: whenBusy: 'skip' is for CheckpointManager.save().`);
    }
    this.#raiseAsyncFailure();
    return normalized;
  }

  async #settle(write: Write, options: NormalizedWriteOptions): Promise<void> {
    if (!options.enableAsync) {
      await write.finished;
      return;
    }
    await write.captured;
    write.finished.catch((error) => {
      this.#asyncFailure ??= error;
    });
  }

  #raiseAsyncFailure(): void {
    const failure = this.#asyncFailure;
    this.#asyncFailure = undefined;
    if (failure !== undefined) throw failure;
  }

  #tree(): ObjectTree {
    return walkNow(this.#host.root(false), this.#resolve);
  }

  async #restore(prefix: string, options: NormalizedReadOptions, counter: boolean): Promise<LoadStatus> {
    await this.#lane.enter();
    try {
      throwIfAborted(options.signal);
      const bundle = await openCheckpoint(prefix, options);
      const root = this.#objects.node(() => counter || this.#counterCreated);
      const session = await this.#open(bundle, counter, options);
      await this.#load(session, bundle, session.match(root), options);
      if (counter) this.#counterCreated = true;
      this.#sessions = [session, ...this.#sessions].filter(({ complete }) => !complete).slice(0, REMEMBERED_RESTORES);
      return new CheckpointLoadStatus(
        { tree: () => this.#tree(), applyDeferred: (later) => this.#applyDeferred(later) },
        session,
        // As in TensorFlow: a checkpoint written by name can't have the counter.
        bundle.has(OBJECT_GRAPH_KEY) ? undefined : this.saveCounter,
      );
    } finally {
      this.#lane.leave();
    }
  }

  async #open(bundle: Bundle, counter: boolean, options: NormalizedReadOptions): Promise<RestoreSession> {
    if (!bundle.has(OBJECT_GRAPH_KEY)) {
      const tree = walkNow(this.#host.root(counter), this.#resolve);
      const graph = graphByNames(tree, bundle.entries);
      return new RestoreSession(bundle.prefix, graph, bundle.entries, this.#resolve, this.#restores);
    }
    const stored = await bundle.readTensor(OBJECT_GRAPH_KEY, { signal: options.signal });
    const bytes = stored.dtype === 'string' ? (stored.data as Uint8Array[])[0] : undefined;
    if (bytes === undefined) {
      throw new CheckpointError('DATA_LOSS', `${OBJECT_GRAPH_KEY} is not a string.`, { path: bundle.prefix });
    }
    const graph = decodeObjectGraph(bytes, bundle.prefix);
    return new RestoreSession(bundle.prefix, graph, bundle.entries, this.#resolve, this.#restores);
  }

  async #load(
    session: RestoreSession,
    bundle: Bundle,
    matching: ReturnType<RestoreSession['match']>,
    options: NormalizedReadOptions,
  ): Promise<void> {
    const matches = await promiseOf(matching);
    checkMatches(matches, bundle);
    await writesOf(matches.map(({ node }) => node.identity));
    await loadMatches(matches, bundle, session, options);
    for (const node of session.above(matches)) await node.afterRestore?.();
  }

  /** Within the lane, for a save: values that have an object by now are never overwritten by fresh ones. */
  *#applyAllDeferred(): Steps<void> {
    for (const session of this.#sessions) {
      if (!session.hasAppeared()) continue;
      try {
        yield* wait(this.#applyWithinLane(session));
      } catch (error) {
        // Else no save could ever succeed again.
        this.#sessions = this.#sessions.filter((other) => other !== session);
        throw deferredFailure(error, session.prefix);
      }
    }
    this.#sessions = this.#sessions.filter(({ complete }) => !complete);
  }

  async #applyDeferred(session: RestoreSession): Promise<void> {
    await this.#lane.enter();
    try {
      if (!session.complete) await this.#applyWithinLane(session);
    } finally {
      this.#lane.leave();
    }
  }

  async #applyWithinLane(session: RestoreSession): Promise<void> {
    const bundle = await openBundle(session.prefix);
    const options = normalizeReadOptions(undefined, 'applyDeferred');
    await this.#load(session, bundle, session.rematch(), options);
  }
}

function checkAdapters(options: CheckpointOptions): readonly Adapter[] {
  for (const name of Object.keys(options)) {
    if (name !== 'adapters') throw invalidArgument(`Checkpoint has no option '${name}'; it has 'adapters'.`);
  }
  const adapters = options.adapters ?? [];
  if (!Array.isArray(adapters) || adapters.some((adapter) => typeof adapter?.adapt !== 'function')) {
    throw invalidArgument('Checkpoint: adapters must be an array of adapters, such as [tfjs(tf)].');
  }
  return [...adapters];
}

/** @throws CheckpointError INVALID_ARGUMENT for what can't be a prefix. */
export function absolutePrefix(prefix: unknown, what: string): string {
  if (typeof prefix !== 'string' || prefix === '' || prefix.includes('\0')) {
    throw invalidArgument(
      `${what}: the prefix must be a path without NUL, not ${JSON.stringify(prefix) ?? typeof prefix}.`,
    );
  }
  if (/(^|\/)\.{0,2}$/.test(prefix)) {
    throw invalidArgument(
      `${what}: ${prefix} names a directory; the prefix must end with a name, such as ${join(prefix, 'ckpt')}.`,
    );
  }
  return resolvePath(prefix);
}

/** Opens a checkpoint, or that of a SavedModel's directory. */
async function openCheckpoint(prefix: string, options: NormalizedReadOptions): Promise<Bundle> {
  try {
    return await openBundle(prefix, { signal: options.signal });
  } catch (error) {
    if (!isCheckpointError(error) || error.code !== 'NOT_FOUND') throw error;
    if ((await stat(join(prefix, 'saved_model.pb'))) !== null) {
      return await openBundle(join(prefix, 'variables', 'variables'), { signal: options.signal });
    }
    throw new CheckpointError('NOT_FOUND', `${error.message} Is its number missing, the -1 of ckpt-1?`, {
      path: error.path ?? prefix,
      errno: error.errno,
      cause: error,
    });
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CheckpointError('ABORTED', 'The restore was aborted.', { cause: signal.reason });
}

function deferredFailure(cause: unknown, prefix: string): CheckpointError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new CheckpointError(
    isCheckpointError(cause) ? cause.code : 'IO_ERROR',
    `Objects have appeared whose values in ${prefix} were still to be restored, and that failed: ${message} ` +
      'Nothing was saved. That restore is given up now: the next save stores these objects as they are.',
    { path: prefix, problems: isCheckpointError(cause) ? cause.problems : undefined, cause },
  );
}
