import { isCheckpointError } from '../errors.ts';
import type { LoadDamage, Progress } from '../native/contract.ts';
import { stat } from '../native/engine.ts';
import { inTurns, promiseOf, type Steps, type Turns } from '../steps.ts';
import { elementSize } from '../tensor/dtypes.ts';
import { elementCount } from '../tensor/shape.ts';
import { throwIfAborted } from './abort.ts';
import type { BundleFiles } from './bundle-files.ts';
import { LoadBuilder } from './load-builder.ts';
import { NumberColumn } from './number-column.ts';
import type { StoredPieces } from './stored-pieces.ts';
import { readingStrings } from './strings.ts';
import { checkVariants } from './variants.ts';
import type { VerifyProblems } from './verify-problems.ts';

export interface VerifyOptions {
  /** Threads; default: the engine's choice. */
  readonly threads?: number;
  /** Upper bound of staging memory, bytes. @default 256 MiB */
  readonly stagingBytes?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** Strings are summed on the JS thread; so many bytes of them are in memory at once. */
const STRING_BATCH_BYTES = 64 * 2 ** 20;

type Pieces = NumberColumn<Uint32Array>;

/** Pieces that are read and summed. */
interface Summed {
  readonly tensors: number;
  readonly bytes: number;
}

/** Reads what lies in the data files, and reports everything that is wrong with it. */
export class PieceVerifier {
  readonly #pieces: StoredPieces;
  readonly #files: BundleFiles;
  readonly #problems: VerifyProblems;
  readonly #options: VerifyOptions;
  readonly #turns: Turns;

  constructor(
    pieces: StoredPieces,
    files: BundleFiles,
    problems: VerifyProblems,
    options: VerifyOptions,
    turns: Turns,
  ) {
    this.#pieces = pieces;
    this.#files = files;
    this.#problems = problems;
    this.#options = options;
    this.#turns = turns;
  }

  /** @param indexIsWhole no piece is missing from the index, so that files must end where the last one does. */
  async run(indexIsWhole: boolean): Promise<Summed> {
    const sizes = await this.#checkFiles(await promiseOf(this.#ends()), indexIsWhole);
    const { fixed, others, summed } = await promiseOf(this.#findReadable(sizes));
    throwIfAborted(this.#options.signal);
    await this.#sumFixed(fixed);
    for (const batch of this.#batches(others)) await this.#sumVariable(batch);
    return summed;
  }

  #each(visit: (piece: number) => void): Steps<void> {
    return inTurns(this.#turns, this.#pieces.length, (first, end) => {
      for (let piece = first; piece < end; piece++) if (this.#pieces.has(piece)) visit(piece);
    });
  }

  /** By shard, where its last piece ends. */
  *#ends(): Steps<Map<number, number>> {
    const ends = new Map<number, number>();
    yield* this.#each((piece) => {
      const { shard, offset, size } = this.#pieces.entry(piece);
      ends.set(shard, Math.max(ends.get(shard) ?? 0, offset + size));
    });
    return ends;
  }

  /** Data files are there and end exactly with their last piece. Returns the sizes of those that are. */
  async #checkFiles(ends: ReadonlyMap<number, number>, indexIsWhole: boolean): Promise<Map<number, number>> {
    const sizes = new Map<number, number>();
    for (const [shard, end] of [...ends].sort(([a], [b]) => a - b)) {
      const file = this.#files.path(shard);
      const found = await this.#problems.attempt(() => stat(file));
      if (found === undefined) continue;
      if (found === null || found.isDirectory) {
        this.#problems.add({ code: 'NOT_FOUND', message: `The data file ${file} is missing.`, file });
        continue;
      }
      sizes.set(shard, found.size);
      if (found.size > end && indexIsWhole) {
        const message = `${file} has ${found.size} bytes; its last tensor ends at ${end}.`;
        this.#problems.add({ code: 'OUT_OF_RANGE', message, file, offset: end });
      }
    }
    return sizes;
  }

  /** The pieces whose bytes are there, by whether these are summed as they are. */
  *#findReadable(sizes: ReadonlyMap<number, number>): Steps<{ fixed: Pieces; others: number[]; summed: Summed }> {
    const fixed = NumberColumn.uint32(this.#pieces.length);
    const others: number[] = [];
    let tensors = 0;
    let bytes = 0;
    yield* this.#each((piece) => {
      const { shard, offset, size, dtype } = this.#pieces.entry(piece);
      const fileBytes = sizes.get(shard);
      if (fileBytes === undefined) return;
      if (offset + size <= fileBytes) {
        tensors++;
        bytes += size;
        if (elementSize(dtype) > 0) fixed.push(piece);
        else others.push(piece);
        return;
      }
      const file = this.#files.path(shard);
      const key = this.#pieces.key(piece);
      const message = `'${key}' ends at ${offset + size} of ${file}, which has only ${fileBytes} bytes: it is truncated.`;
      this.#problems.add({ code: 'OUT_OF_RANGE', message, file, key, offset });
    });
    return { fixed, others, summed: { tensors, bytes } };
  }

  async #sumFixed(pieces: Pieces): Promise<void> {
    const builder = new LoadBuilder(pieces.length, (piece) => this.#pieces.key(piece));
    const add = (first: number, end: number): void => {
      for (let i = first; i < end; i++) {
        const piece = pieces.at(i);
        const { shard, offset, size, crc32c } = this.#pieces.entry(piece);
        // An empty one is a tensor of the program without an extent: nothing is read, and what is expected is compared here.
        builder.tensor(piece, size === 0 ? null : crc32c);
        if (size > 0) builder.extent(this.#files.path(shard), offset, size, null);
        else if (crc32c !== 0) this.#damaged(piece, 'it is empty, and its checksum is not');
      }
    };
    await promiseOf(inTurns(this.#turns, pieces.length, add));
    for (const one of await this.#load(builder, this.#options)) this.#describe(one, pieces.at(one.tensor));
    pieces.free();
  }

  async #sumVariable(batch: readonly number[]): Promise<void> {
    const builder = new LoadBuilder(batch.length, (piece) => this.#pieces.key(piece));
    const memory: Uint8Array[] = [];
    const add = (first: number, end: number): void => {
      for (const piece of batch.slice(first, end)) {
        const { shard, offset, size } = this.#pieces.entry(piece);
        const bytes = new Uint8Array(size);
        memory.push(bytes);
        builder.tensor(piece, null);
        builder.extent(this.#files.path(shard), offset, size, bytes);
      }
    };
    await promiseOf(inTurns(this.#turns, batch.length, add));
    const unread = new Set<number>();
    for (const one of await this.#load(builder, { ...this.#options, onProgress: undefined })) {
      unread.add(one.tensor);
      this.#describe(one, batch[one.tensor]!);
    }
    for (const [i, piece] of batch.entries()) {
      if (unread.has(i)) continue;
      const { dtype, shape, crc32c } = this.#pieces.entry(piece);
      try {
        if (dtype === 'string') {
          await promiseOf(readingStrings(memory[i]!, elementCount(shape), crc32c, this.#turns));
        } else checkVariants(memory[i]!, elementCount(shape), crc32c);
      } catch (error) {
        if (!isCheckpointError(error)) throw error;
        this.#damaged(piece, error.message);
      }
    }
  }

  /** Reads and sums; returns what is wrong, by the builder's tensors. */
  async #load(builder: LoadBuilder, options: VerifyOptions): Promise<readonly LoadDamage[]> {
    if (builder.tensorCount === 0) return [];
    try {
      const result = await this.#problems.attempt(() => builder.run({ ...options, keepGoing: true }, this.#turns));
      return result?.damage ?? [];
    } finally {
      builder.free();
    }
  }

  #describe({ kind, error }: LoadDamage, piece: number): void {
    if (kind === 'checksum') {
      this.#damaged(piece, 'its checksum does not match its bytes');
      return;
    }
    const code = kind === 'missing' ? 'NOT_FOUND' : kind === 'short' ? 'OUT_OF_RANGE' : error.code;
    const key = this.#pieces.key(piece);
    const { shard, offset } = this.#pieces.entry(piece);
    this.#problems.add({ code, message: `'${key}': ${error.message}`, file: this.#files.path(shard), key, offset });
  }

  #damaged(piece: number, what: string): void {
    const key = this.#pieces.key(piece);
    const { shard, offset } = this.#pieces.entry(piece);
    const file = this.#files.path(shard);
    const message = `'${key}' in ${file} at ${offset}: ${what}.`;
    this.#problems.add({ code: 'DATA_LOSS', message, file, key, offset });
  }

  /** In their order, so many at a time as are read into memory together. */
  *#batches(numbers: readonly number[]): Generator<number[]> {
    let batch: number[] = [];
    let bytes = 0;
    for (const piece of numbers) {
      const { size } = this.#pieces.entry(piece);
      if (batch.length > 0 && bytes + size > STRING_BATCH_BYTES) {
        yield batch;
        [batch, bytes] = [[], 0];
      }
      batch.push(piece);
      bytes += size;
    }
    if (batch.length > 0) yield batch;
  }
}
