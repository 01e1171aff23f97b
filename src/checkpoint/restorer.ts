import { join } from 'node:path';
import { type Bundle, openBundle } from '../bundle/index.ts';
import { CheckpointError, isCheckpointError } from '../errors.ts';
import { freeColumns } from '../native/columns.ts';
import { stat } from '../native/engine.ts';
import { promiseOf, ShortTurns, type Steps, type Turns, wait } from '../steps.ts';
import { checkMatches } from './check-matches.ts';
import { OBJECT_GRAPH_KEY } from './keys.ts';
import { writesOf } from './lanes.ts';
import { loadMatches } from './load.ts';
import { graphByNames } from './name-graph.ts';
import { type NormalizedReadOptions, normalizeReadOptions } from './options.ts';
import { readObjectGraph } from './read-object-graph.ts';
import { RestoreOrder } from './restore-order.ts';
import { RestoreSession } from './restore-session.ts';
import type { TrackableNode } from './trackable.ts';
import { type Resolve, walkNow } from './tree.ts';

/** Restores with values still waiting for their objects that are remembered; older ones apply only when asked. */
const REMEMBERED_RESTORES = 4;

/**
 * The restores of one Checkpoint: the newest ones are kept as long as something in them still waits for its object.
 * Its methods are called within the Checkpoint's lane, one at a time.
 */
export class Restorer {
  readonly #resolve: Resolve;
  readonly #order = new RestoreOrder();
  /** Newest first. */
  #waiting: RestoreSession[] = [];

  constructor(resolve: Resolve) {
    this.#resolve = resolve;
  }

  /** Restores what the objects below `root` match. `byName`: the checkpoint had no object graph. */
  async restore(
    prefix: string,
    root: TrackableNode,
    options: NormalizedReadOptions,
  ): Promise<{ session: RestoreSession; byName: boolean }> {
    const bundle = await openCheckpoint(prefix, options);
    const byName = !bundle.has(OBJECT_GRAPH_KEY);
    const turns = new ShortTurns();
    const graph = byName
      ? graphByNames(walkNow(root, this.#resolve), bundle.entries.keys())
      : await readObjectGraph(await storedGraph(bundle, options), bundle, turns);
    const { entries } = bundle;
    const session = new RestoreSession({ prefix: bundle.prefix, graph, entries }, this.#resolve, this.#order);
    await this.#load(session, bundle, session.match(root, turns), options, turns);
    this.#waiting = [session, ...this.#waiting].filter(({ complete }) => !complete).slice(0, REMEMBERED_RESTORES);
    return { session, byName };
  }

  /** Restores what has appeared since `session` was matched. */
  async applyDeferred(session: RestoreSession): Promise<void> {
    if (session.complete) return;
    const bundle = await openBundle(session.prefix);
    const turns = new ShortTurns();
    await this.#load(session, bundle, session.rematch(turns), normalizeReadOptions(undefined, 'applyDeferred'), turns);
  }

  /**
   * Before a save: values that have an object by now are restored, lest they be overwritten by fresh ones. Waits for
   * nothing where nothing has appeared.
   */
  *applyAllDeferred(): Steps<void> {
    for (const session of this.#waiting) {
      if (!session.hasAppeared()) continue;
      try {
        yield* wait(this.applyDeferred(session));
      } catch (error) {
        // Else no save could ever succeed again.
        this.#waiting = this.#waiting.filter((other) => other !== session);
        throw deferredFailure(error, session.prefix);
      }
    }
    this.#waiting = this.#waiting.filter(({ complete }) => !complete);
  }

  /** Says that an object has a value of its own: what a restore until now left waiting must not replace it. */
  supersede(object: object): void {
    this.#order.restored(object, this.#order.next());
  }

  async #load(
    session: RestoreSession,
    bundle: Bundle,
    matching: ReturnType<RestoreSession['match']>,
    options: NormalizedReadOptions,
    turns: Turns,
  ): Promise<void> {
    const matches = await promiseOf(matching);
    try {
      const stored = await promiseOf(checkMatches(matches, bundle, turns));
      await writesOf(matches.identities());
      await loadMatches(matches, stored, bundle, session, options, turns);
      freeColumns(stored.rows);
      for (const node of session.above(matches)) await node.afterRestore?.();
    } finally {
      matches.free();
    }
  }
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

async function storedGraph(bundle: Bundle, options: NormalizedReadOptions): Promise<Uint8Array> {
  const stored = await bundle.readTensor(OBJECT_GRAPH_KEY, { signal: options.signal });
  const bytes = stored.dtype === 'string' ? (stored.data as Uint8Array[])[0] : undefined;
  if (bytes !== undefined) return bytes;
  throw new CheckpointError('DATA_LOSS', `${OBJECT_GRAPH_KEY} of ${bundle.prefix} is not a string.`, {
    path: bundle.prefix,
    key: OBJECT_GRAPH_KEY,
  });
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
