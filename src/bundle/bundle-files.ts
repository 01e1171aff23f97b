import { CheckpointError } from '../errors.ts';
import { stat } from '../native/engine.ts';
import { dataLoss } from './damage.ts';
import { dataPath } from './names.ts';

/** Where bytes of a tensor lie that are to be read. */
export interface WantedBytes {
  readonly shard: number;
  readonly offset: number;
  readonly size: number;
}

/** The data files of a checkpoint: their paths, and their sizes as far as they were asked for. */
export class BundleFiles {
  readonly #prefix: string;
  readonly #shardCount: number;
  readonly #paths = new Map<number, string>();
  readonly #sizes = new Map<number, Promise<number>>();

  constructor(prefix: string, shardCount: number) {
    this.#prefix = prefix;
    this.#shardCount = shardCount;
  }

  path(shard: number): string {
    let path = this.#paths.get(shard);
    if (path === undefined) {
      path = dataPath(this.#prefix, shard, this.#shardCount);
      this.#paths.set(shard, path);
    }
    return path;
  }

  /** The sizes of these files. NOT_FOUND for one that is missing. */
  async sizes(shards: Iterable<number>): Promise<ReadonlyMap<number, number>> {
    const sizes = new Map<number, number>();
    for (const shard of shards) sizes.set(shard, await this.#size(shard));
    return sizes;
  }

  /** DATA_LOSS: bytes of `key` lie behind the end of their file. */
  tooShort(key: string, { shard, offset, size }: WantedBytes, sizes: ReadonlyMap<number, number>): CheckpointError {
    const path = this.path(shard);
    const message = `'${key}' lies in ${path} at ${offset} to ${offset + size}, but that file has ${sizes.get(shard)} bytes.`;
    return dataLoss(message, { path, key, offset });
  }

  #size(shard: number): Promise<number> {
    let size = this.#sizes.get(shard);
    if (size === undefined) {
      size = fileSize(this.path(shard));
      // What failed once is asked anew next time: the file may be on its way.
      size.catch(() => this.#sizes.delete(shard));
      this.#sizes.set(shard, size);
    }
    return size;
  }
}

async function fileSize(path: string): Promise<number> {
  const found = await stat(path);
  if (found === null) {
    throw new CheckpointError('NOT_FOUND', `The checkpoint's data file ${path} is missing.`, { path });
  }
  return found.size;
}
