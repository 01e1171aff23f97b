import { basename, dirname, join, resolve as resolvePath } from 'node:path';
import { BundlePlanner } from '../bundle/index.ts';
import { describeValue, invalidArgument } from '../errors.ts';
import { Capturer } from './capture.ts';
import { Counter } from './counter.ts';
import { throwIfAborted } from './hand-over.ts';
import { Lane } from './lanes.ts';
import { CheckpointLoadStatus, type LoadStatus, NothingRestored } from './load-status.ts';
import { optionsObject } from './option-checks.ts';
import {
  type NormalizedReadOptions,
  type NormalizedWriteOptions,
  normalizeReadOptions,
  normalizeWriteOptions,
  type ReadOptions,
  type WriteOptions,
} from './options.ts';
import type { RestoreSession } from './restore-session.ts';
import { Restorer } from './restorer.ts';
import { RootObjects } from './root.ts';
import { printCheckpointState, STATE_FILE_NAME } from './state-file.ts';
import type { Adapter, TensorPath } from './trackable.ts';
import { createResolver } from './trackables.ts';
import { type ObjectTree, type Resolve, walkNow } from './tree.ts';
import { Write, type WriteExtras, type WriteHost } from './write.ts';
import type { WriteHandle, WriteRequest } from './write-handle.ts';

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
 * nothing to wait for has captured its values when the call returns (above 4096 objects, or entries of all arrays and
 * plain objects together: when it resolves). One of up to 256 values is on its way by then, too; of more, planning takes up to two
 * milliseconds of the caller's turn, and the rest waits for the event loop to turn.
 */
export class Checkpoint {
  /** Number of the last save, an int64 scalar; restored with the checkpoint. */
  readonly saveCounter: Counter = new Counter();
  readonly #adapters: readonly Adapter[];
  readonly #objects: RootObjects;
  readonly #resolve: Resolve;
  readonly #lane = new Lane();
  readonly #host: WriteHost;
  readonly #restorer: Restorer;
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
    this.#adapters = adapters;
    this.#resolve = createResolver(adapters);
    this.#restorer = new Restorer(this.#resolve);
    this.#objects = new RootObjects(this, objects, this.saveCounter);
    const given = this.#objects.children(false);
    for (let i = 0; i < given.length; i++) {
      this.#resolve(given.value(i), () => `checkpoint[${JSON.stringify(given.name(i))}]`);
    }
    this.#host = {
      resolve: this.#resolve,
      capturer: new Capturer(),
      planner: new BundlePlanner(),
      lane: this.#lane,
      root: (counter) => this.#objects.node(() => counter || this.#counterCreated),
      applyDeferred: () => this.#restorer.applyAllDeferred(),
      counterStored: () => {
        if (this.#counterCreated) return;
        this.#counterCreated = true;
        // It has a value of its own now: one that an earlier read() left waiting must not replace it.
        this.#restorer.supersede(this.saveCounter);
      },
    };
  }

  /** A Checkpoint may be part of another one. */
  checkpointChildren(): Record<string, unknown> {
    const children = this.#objects.children(this.#counterCreated);
    const names = Array.from({ length: children.length }, (_, i) => children.name(i));
    return Object.fromEntries(names.map((name, i) => [name, children.value(i)]));
  }

  /** How the tensors of the first adapter that has more than one way get to disk at present; undefined without one. */
  get tensorPath(): TensorPath | undefined {
    return this.#adapters.find(({ path }) => path !== undefined)?.path;
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
        this.#raiseAsyncFailure();
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
      rollback: (error, captured) => {
        if (normalized.enableAsync && captured) this.#asyncFailure ??= error;
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
        const previous = existingFiles(directory).includes(STATE_FILE_NAME) ? undefined : null;
        return { stateFile: { path: join(directory, STATE_FILE_NAME), text, previous }, deletePrefixes: [] };
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
      storesCounter: () => {
        this.#raiseAsyncFailure();
        return this.#counterCreated;
      },
      rollback: (error, captured) => {
        if (normalized.enableAsync && captured) this.#asyncFailure ??= error;
      },
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
    const { storeSaveCounter, finish, createdDirectories, onWarning, atOnce, ...options } = request;
    const normalized = normalizeWriteOptions(options, 'save');
    return this.#begin(absolutePrefix(prefix, 'save'), normalized, {
      storesCounter: () => storeSaveCounter || this.#counterCreated,
      finish,
      createdDirectories,
      onWarning,
      atOnce,
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
    return normalized;
  }

  async #settle(write: Write, options: NormalizedWriteOptions): Promise<void> {
    if (options.enableAsync) await write.captured;
    else await write.finished;
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
      const root = this.#objects.node(() => counter || this.#counterCreated);
      const { session, byName } = await this.#restorer.restore(prefix, root, options);
      if (counter) this.#counterCreated = true;
      const host = { tree: () => this.#tree(), applyDeferred: (later: RestoreSession) => this.#applyDeferred(later) };
      // As in TensorFlow: a checkpoint written by name can't have the counter.
      return new CheckpointLoadStatus(host, session, byName ? this.saveCounter : undefined);
    } finally {
      this.#lane.leave();
    }
  }

  async #applyDeferred(session: RestoreSession): Promise<void> {
    await this.#lane.enter();
    try {
      await this.#restorer.applyDeferred(session);
    } finally {
      this.#lane.leave();
    }
  }
}

const OPTION_NAMES: ReadonlySet<string> = new Set<keyof CheckpointOptions>(['adapters']);

function checkAdapters(options: CheckpointOptions): readonly Adapter[] {
  const { adapters = [] } = optionsObject(options, OPTION_NAMES, 'Checkpoint') as CheckpointOptions;
  if (!Array.isArray(adapters) || adapters.some((adapter) => typeof adapter?.adapt !== 'function')) {
    throw invalidArgument('Checkpoint: adapters must be an array of adapters, such as [tfjs(tf)].');
  }
  return [...adapters];
}

/** @throws CheckpointError INVALID_ARGUMENT for what can't be a prefix. */
export function absolutePrefix(prefix: unknown, what: string): string {
  if (typeof prefix !== 'string' || prefix === '' || prefix.includes('\0')) {
    throw invalidArgument(`${what}: the prefix must be a path without NUL, not ${describeValue(prefix)}.`);
  }
  if (/(^|\/)\.{0,2}$/.test(prefix)) {
    throw invalidArgument(
      `${what}: ${prefix} names a directory; the prefix must end with a name, such as ${join(prefix, 'ckpt')}.`,
    );
  }
  return resolvePath(prefix);
}
