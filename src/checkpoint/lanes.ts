/**
 * One at a time, first come, first served. Entering an idle lane takes no turn of the event loop.
 */
export class Lane {
  #held = false;
  readonly #waiting: (() => void)[] = [];

  /** Whether nobody is in the lane. */
  get idle(): boolean {
    return !this.#held;
  }

  /** Undefined where the lane was idle and is now the caller's; else a promise of that. */
  enter(): undefined | Promise<void> {
    if (!this.#held) {
      this.#held = true;
      return undefined;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Hands the lane to the next in line. To be called exactly once for each enter(). */
  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#held = false;
    else next();
  }
}

/** A set of objects, as far as it is asked here. */
interface Objects {
  has(object: object): boolean;
}

/** Writes under way in this process, of any Checkpoint: the prefix they write and the objects that they read. */
interface Write {
  readonly objects: Objects;
  readonly done: Promise<unknown>;
}

// Two Checkpoints may share a prefix or objects without knowing of each other, so this can't belong to either. Both
// are empty whenever nothing is being written.
const prefixLanes = new Map<string, Lane>();
const writes = new Set<Write>();

/** Enters the lane of a prefix; see {@link Lane.enter}. Prefixes are absolute. */
export function enterPrefix(prefix: string): undefined | Promise<void> {
  let lane = prefixLanes.get(prefix);
  if (lane === undefined) {
    lane = new Lane();
    prefixLanes.set(prefix, lane);
  }
  return lane.enter();
}

export function leavePrefix(prefix: string): void {
  const lane = prefixLanes.get(prefix);
  lane?.leave();
  if (lane?.idle) prefixLanes.delete(prefix);
}

/** Announces a write that reads these objects until `done` settles. */
export function announceWrite(objects: Objects, done: Promise<unknown>): void {
  const write: Write = { objects, done };
  writes.add(write);
  const remove = () => writes.delete(write);
  done.then(remove, remove);
}

/** Resolves once no write that was under way reads any of `objects`; undefined if there is none. */
export function writesOf(objects: Iterable<object>): undefined | Promise<unknown> {
  if (writes.size === 0) return undefined;
  const found = new Set<Promise<unknown>>();
  for (const object of objects) {
    for (const write of writes) {
      if (write.objects.has(object)) found.add(write.done.catch(() => {}));
    }
    if (found.size === writes.size) break;
  }
  return found.size === 0 ? undefined : Promise.all(found);
}
