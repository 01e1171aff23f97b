import { isUtf8 } from 'node:buffer';
import { type CheckpointError, isCheckpointError } from '../errors.ts';
import { ONE_TURN, resultOf, type Steps, type Turns } from '../steps.ts';
import { dataLoss, inContext } from './damage.ts';
import { EntryDecoder } from './entry-decoder.ts';
import type { IndexTable } from './index-table.ts';
import { IndexTableBuilder } from './index-table-builder.ts';
import { decodeHeader, type StoredEntry } from './messages.ts';
import { SLICE_KEY_MARK } from './slice-keys.ts';
import { compareBytes } from './table-format.ts';
import { BlockCursor, type DataBlock, openTable, readBlock } from './table-reader.ts';

/** What an index file says, checked as far as that is possible without the data files. */
export interface ParsedIndex {
  readonly shardCount: number;
  /** Tensors by key, in bytewise order of the keys. */
  readonly entries: IndexTable;
  /** Parts of sliced tensors, by their encoded key, one character a byte (see {@link partKey}). */
  readonly parts: ReadonlyMap<string, StoredEntry>;
}

export interface ParseOptions {
  /** Path of the file, for messages. */
  readonly path: string;
  /** Also check bytes that no reader needs. */
  readonly strict?: boolean;
  /** Takes errors that concern one block or one entry, and the rest is read; else the first error is thrown. */
  readonly onProblem?: (error: CheckpointError) => void;
}

/** Entries that are read before the event loop may turn. */
const PIECE = 64;

export function partKey(encoded: Uint8Array): string {
  return Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength).toString('latin1');
}

/**
 * Parses a whole index file, of every kind. DATA_LOSS for anything that contradicts the format, UNSUPPORTED for other versions.
 * What native/format/read_index.cc accepts this must understand in the same way.
 */
export function parseIndex(file: Uint8Array, options: ParseOptions): ParsedIndex {
  return resultOf(parseIndexSteps(file, options, ONE_TURN));
}

/** {@link parseIndex} for an index of any size. */
export function parseIndexSteps(file: Uint8Array, options: ParseOptions, turns: Turns): Steps<ParsedIndex> {
  return new IndexParser(file, options).parse(turns);
}

class IndexParser {
  readonly #file: Uint8Array;
  readonly #options: ParseOptions;
  readonly #entries: IndexTableBuilder;
  readonly #parts = new Map<string, StoredEntry>();
  readonly #decoder = new EntryDecoder();
  #shardCount: number | null = null;
  /** Whether the last tensor's key is ASCII, and so what the next one shares with it. Other entries share nothing with a tensor. */
  #asciiKey = false;

  constructor(file: Uint8Array, options: ParseOptions) {
    this.#file = file;
    this.#options = options;
    this.#entries = new IndexTableBuilder(file.length);
  }

  *parse(turns: Turns): Steps<ParsedIndex> {
    const { path, strict } = this.#options;
    const blocks = inContext(path, { path }, () => openTable(this.#file, strict === true));
    let previous: Uint8Array | null = null;
    for (const block of blocks) {
      for (const read = this.#openBlock(block, previous); read(); ) if (turns.due) yield turns.next();
      previous = block.separator;
    }
    if (this.#shardCount === null) this.#report(dataLoss(`${path}: the index has no header`, { path, offset: 0 }), 0);
    const shardCount = this.#shardCount ?? 0;
    return { shardCount, entries: yield* this.#entries.finish(shardCount, turns), parts: this.#parts };
  }

  /** What reads a block piece by piece, until it returns false. A block that is damaged is left at that point. */
  #openBlock({ handle, separator }: DataBlock, previous: Uint8Array | null): () => boolean {
    let cursor: BlockCursor | undefined;
    let isEmpty = true;
    const read = (): boolean => {
      cursor ??= new BlockCursor(readBlock(this.#file, handle));
      for (let entry = 0; entry < PIECE; entry++) {
        if (!cursor.next()) {
          if (isEmpty) throw dataLoss('a data block of the index is empty');
          // Keys increase, so that the last one speaks for all.
          if (compareBytes(cursor.currentKey(), separator) > 0)
            throw dataLoss('a key lies behind the end of its block');
          return false;
        }
        if (isEmpty && previous !== null && compareBytes(previous, cursor.currentKey()) >= 0) {
          throw dataLoss('the keys of the index do not increase');
        }
        isEmpty = false;
        this.#visit(cursor, handle.offset);
      }
      return true;
    };
    return () => {
      try {
        return read();
      } catch (error) {
        this.#report(error, handle.offset);
        return false;
      }
    };
  }

  /** One entry. What is wrong with it alone doesn't keep the others from being read. */
  #visit(cursor: BlockCursor, offset: number): void {
    try {
      if (cursor.keyLength === 0) this.#takeHeader(cursor);
      else if (this.#shardCount === null) {
        // Without the header, shards can't be checked; that it is missing is an error of its own.
        throw dataLoss('the index does not start with a header');
      } else if (cursor.key[0] === SLICE_KEY_MARK) this.#takePart(cursor, this.#shardCount);
      else this.#takeEntry(cursor, this.#shardCount);
    } catch (error) {
      this.#report(error, offset);
    }
  }

  #takeHeader({ block, valueStart, valueEnd }: BlockCursor): void {
    const { path } = this.#options;
    const value = block.subarray(valueStart, valueEnd);
    this.#shardCount = inContext(`${path}: the header`, { path }, () => decodeHeader(value).shardCount);
  }

  #takePart(cursor: BlockCursor, shards: number): void {
    const { path } = this.#options;
    const decoder = this.#decoder;
    inContext(`${path}: a part of a sliced tensor`, { path }, () =>
      decoder.decode(cursor.block, cursor.valueStart, cursor.valueEnd, shards),
    );
    const { dtype, shape, shard, offset, size, crc32c, slices } = decoder;
    this.#parts.set(partKey(cursor.currentKey()), { dtype, shape, shard, offset, size, crc32c, slices });
  }

  #takeEntry(cursor: BlockCursor, shards: number): void {
    const { key, keyLength, block, valueStart, valueEnd } = cursor;
    let bytes = 0;
    for (let i = this.#asciiKey ? cursor.shared : 0; i < keyLength; i++) bytes |= key[i]!;
    this.#asciiKey = bytes <= 127;
    if (!this.#asciiKey && !isUtf8(cursor.currentKey())) throw dataLoss('a key of the index is not valid UTF-8');
    try {
      this.#decoder.decode(block, valueStart, valueEnd, shards);
    } catch (error) {
      const { path } = this.#options;
      const name = Buffer.from(cursor.currentKey()).toString();
      inContext(`${path}: '${name}'`, { path, key: name }, () => {
        throw error;
      });
    }
    this.#entries.add(key, keyLength, this.#decoder);
  }

  #report(error: unknown, offset: number): void {
    if (!isCheckpointError(error)) throw error;
    const { path, onProblem } = this.#options;
    const located = error.path === undefined ? locate(error, path, offset) : error;
    if (onProblem === undefined || located.code === 'UNSUPPORTED') throw located;
    onProblem(located);
  }
}

function locate(error: CheckpointError, path: string, offset: number): CheckpointError {
  const at = error.offset ?? offset;
  try {
    inContext(`${path} (block at ${offset})`, { path, offset: at, key: error.key }, () => {
      throw error;
    });
  } catch (located) {
    return located as CheckpointError;
  }
  return error;
}
