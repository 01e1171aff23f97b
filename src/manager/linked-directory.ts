import { basename, dirname } from 'node:path';
import { indexPath, parseDataName } from '../bundle/index.ts';
import type { Checkpoint } from '../checkpoint/index.ts';
import { type LinkResult, linkWith } from '../checkpoint/link.ts';
import { readDirectorySync } from '../native/engine.ts';
import { DirectoryBook, type SaveOutcome } from './book.ts';
import type { ManagerWarning } from './events.ts';
import { removeCheckpoint } from './latest.ts';
import { normalizeManagerOptions } from './options.ts';
import { clearLeftovers } from './recovery.ts';

/**
 * A directory of checkpoints that are saved elsewhere and only linked here, under a state file and a lock of its own:
 * `tf.train.latest_checkpoint` finds the newest, and no other manager's retention reaches it. One operation at a time.
 *
 * @internal for the callbacks.
 */
export class LinkedDirectory {
  readonly directory: string;
  readonly #book: DirectoryBook;
  readonly #onWarning: (warning: ManagerWarning) => void;
  readonly #durable: boolean;

  /** @throws CheckpointError DIRECTORY_LOCKED */
  constructor(
    checkpoint: Checkpoint,
    options: { directory: string; maxToKeep: number; durable: boolean },
    onWarning: (warning: ManagerWarning) => void,
  ) {
    const { directory, maxToKeep, durable } = options;
    const normalized = normalizeManagerOptions(checkpoint, { directory, maxToKeep });
    this.directory = normalized.directory;
    this.#book = new DirectoryBook(normalized, onWarning);
    this.#onWarning = onWarning;
    this.#durable = durable;
  }

  get latest(): string | null {
    return this.#book.state.latest;
  }

  /** Clears away what a link that was killed has left. To be called once, before anything is linked. */
  async recover(): Promise<void> {
    if (this.#book.leftovers !== undefined) await clearLeftovers(this.#book.leftovers, this.#onWarning);
  }

  /** Links the checkpoint `from` as number `number`, the latest one here. What is too much goes behind that. */
  async link(from: string, number: number): Promise<LinkResult> {
    const path = `${this.#book.prefix}-${number}`;
    if (path === this.latest) return { path, bytesCopied: 0 };
    this.#book.prepareForWriting(this.#onWarning);
    // Whole but unlisted: the process died between the index and the state file.
    if (hasFiles(path)) await removeCheckpoint(path);
    let outcome: SaveOutcome | undefined;
    const result = await linkWith(
      from,
      path,
      { durable: this.#durable },
      {
        createdDirectories: this.#book.unsynced,
        onWarning: this.#onWarning,
        finish: () => {
          const composed = this.#book.composeSave(path);
          outcome = composed.outcome;
          return composed.request;
        },
      },
    );
    if (outcome !== undefined) this.#book.saved(outcome);
    return result;
  }

  /** Gives the lock up. */
  close(): void {
    this.#book.release();
  }
}

function hasFiles(path: string): boolean {
  const names = readDirectorySync(dirname(path)) ?? [];
  return names.some((name) => name === basename(indexPath(path)) || parseDataName(name)?.base === basename(path));
}
