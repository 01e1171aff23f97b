import { CheckpointError, isCheckpointError } from '../errors.ts';
import { readIndex } from '../native/decode.ts';
import { readFile } from '../native/engine.ts';
import { promiseOf, ShortTurns } from '../steps.ts';
import { elementSizes } from '../tensor/dtypes.ts';
import { throwIfAborted } from './abort.ts';
import { IndexTable, randomSeed } from './index-table.ts';
import { indexPath } from './names.ts';
import { type ParsedIndex, parseIndexSteps } from './parse-index.ts';

/** An index beyond this is refused before it is read. Ten million tensors have about 700 MiB. */
const MAX_INDEX_BYTES = 2 ** 31;

/** What an index of the plain kind has none of. */
const NO_PARTS: ParsedIndex['parts'] = new Map();

/**
 * Reads and checks the index of the checkpoint at `prefix`: natively where it is of the plain kind, else here, where what is
 * wrong with it is found, too.
 */
export async function openIndex(prefix: string, signal: AbortSignal | undefined): Promise<ParsedIndex> {
  const path = indexPath(prefix);
  throwIfAborted(signal);
  const { rows, bytes } = await withAdvice(prefix, readIndex(path, MAX_INDEX_BYTES, elementSizes(), randomSeed()));
  throwIfAborted(signal);
  if (rows !== undefined) return { shardCount: rows.shards, entries: new IndexTable(rows), parts: NO_PARTS };
  return promiseOf(parseIndexSteps(bytes!, { path }, new ShortTurns()));
}

/** The bytes of the index file of the checkpoint at `prefix`. */
export function readIndexFile(prefix: string): Promise<Uint8Array> {
  return withAdvice(prefix, readFile(indexPath(prefix), MAX_INDEX_BYTES));
}

/** NOT_FOUND says which checkpoint there is none of. */
async function withAdvice<T>(prefix: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (!isCheckpointError(error) || error.code !== 'NOT_FOUND') throw error;
    const path = indexPath(prefix);
    throw new CheckpointError('NOT_FOUND', `There is no checkpoint '${prefix}': the file ${path} doesn't exist.`, {
      path,
      errno: error.errno,
      cause: error,
    });
  }
}
