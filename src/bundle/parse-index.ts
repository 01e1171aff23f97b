import type { CheckpointError } from '../errors.ts';
import { isCheckpointError } from '../errors.ts';
import { dataLoss, inContext } from './damage.ts';
import { decodeEntry, decodeHeader, type StoredEntry } from './messages.ts';
import { SLICE_KEY_MARK } from './slice-keys.ts';
import { compareBytes } from './table-format.ts';
import { forEachEntry, openTable, readBlock } from './table-reader.ts';

/** What an index file says, checked as far as that is possible without the data files. */
export interface ParsedIndex {
  readonly shardCount: number;
  /** Tensors by key, in bytewise order of the keys. */
  readonly entries: ReadonlyMap<string, StoredEntry>;
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

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function partKey(encoded: Uint8Array): string {
  return Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength).toString('latin1');
}

/** Parses a whole index file. DATA_LOSS for anything that contradicts the format, UNSUPPORTED for other versions. */
export function parseIndex(file: Uint8Array, options: ParseOptions): ParsedIndex {
  const { path } = options;
  const blocks = inContext(path, { path }, () => openTable(file, options.strict === true));
  const entries = new Map<string, StoredEntry>();
  const parts = new Map<string, StoredEntry>();
  let shardCount: number | null = null;
  let previous: Uint8Array | null = null;

  const visit = (key: Uint8Array, value: Uint8Array): void => {
    if (key.length === 0) {
      shardCount = inContext(`${path}: the header`, { path }, () => decodeHeader(value).shardCount);
      return;
    }
    // Without the header, shards can't be checked; that it is missing is an error of its own.
    if (shardCount === null) throw dataLoss('the index does not start with a header');
    const shards = shardCount;
    if (key[0] === SLICE_KEY_MARK) {
      parts.set(
        partKey(key),
        inContext(`${path}: a part of a sliced tensor`, { path }, () => decodeEntry(value, shards)),
      );
      return;
    }
    const name = decodeKey(key);
    entries.set(
      name,
      inContext(`${path}: '${name}'`, { path, key: name }, () => decodeEntry(value, shards)),
    );
  };

  const attempt = (offset: number, work: () => void): void => {
    try {
      work();
    } catch (error) {
      if (!isCheckpointError(error)) throw error;
      const located = error.path === undefined ? locate(error, path, offset) : error;
      if (options.onProblem === undefined || located.code === 'UNSUPPORTED') throw located;
      options.onProblem(located);
    }
  };

  for (const { handle, separator } of blocks) {
    attempt(handle.offset, () => {
      const contents = readBlock(file, handle);
      let last = previous;
      forEachEntry(contents, (key, value) => {
        if (last !== null && compareBytes(last, key) >= 0) throw dataLoss('the keys of the index do not increase');
        last = key;
        if (compareBytes(key, separator) > 0) throw dataLoss('a key lies behind the end of its block');
        attempt(handle.offset, () => visit(key, value));
      });
      if (last === previous) throw dataLoss('a data block of the index is empty');
    });
    previous = separator;
  }
  if (shardCount === null) {
    const missing = dataLoss(`${path}: the index has no header`, { path, offset: 0 });
    if (options.onProblem === undefined) throw missing;
    options.onProblem(missing);
  }
  return { shardCount: shardCount ?? 0, entries, parts };
}

function decodeKey(key: Uint8Array): string {
  try {
    return utf8.decode(key);
  } catch {
    throw dataLoss('a key of the index is not valid UTF-8');
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
