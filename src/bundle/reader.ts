import { CheckpointError, describeValue, invalidArgument, isCheckpointError } from '../errors.ts';
import { LoadFailure, readFile, runLoad, stat } from '../native/engine.ts';
import { elementSize, viewLanes } from '../tensor/dtypes.ts';
import { HostTensor } from '../tensor/host-tensor.ts';
import { MAX_VIEW_LENGTH, type MemoryRange } from '../tensor/memory.ts';
import { describeShape } from '../tensor/shape.ts';
import type { DeviceMemory } from '../tensor/source.ts';
import { type Box, commonRuns, requestedBox, volume, wholeBox } from './boxes.ts';
import { dataLoss, inContext } from './damage.ts';
import { LoadBuilder } from './load-builder.ts';
import type { StoredEntry } from './messages.ts';
import { dataPath, indexPath } from './names.ts';
import { type ParsedIndex, parseIndex } from './parse-index.ts';
import { addPart, needsPieces, readInPieces, type Verify } from './region-read.ts';
import { type StoredPart, storedByteLength, storedParts } from './stored-parts.ts';
import { readStrings } from './strings.ts';
import type { Bundle, BundleEntryInfo, BundleReadOptions, BundleReadRequest, TensorSlice } from './types.ts';

/** An index beyond this is refused before it is read. Ten million tensors have about 700 MiB. */
const MAX_INDEX_BYTES = 2 ** 31;

/** A box of a tensor and the memory it goes to. */
interface Region {
  readonly key: string;
  readonly entry: StoredEntry;
  readonly target: Box;
  readonly parts: readonly StoredPart[];
  readonly into: MemoryRange | DeviceMemory;
  readonly verify: Verify;
}

/**
 * Opens the checkpoint at `prefix`: reads its index and checks all of it.
 *
 * @throws CheckpointError NOT_FOUND without an index, DATA_LOSS for a damaged one, UNSUPPORTED for a version, byte
 * order or dtype that this package doesn't read.
 */
export async function openBundle(prefix: string, options: { signal?: AbortSignal } = {}): Promise<Bundle> {
  const path = indexPath(prefix);
  throwIfAborted(options.signal);
  const file = await readIndexFile(path);
  throwIfAborted(options.signal);
  return new BundleReader(prefix, parseIndex(file, { path }));
}

/** ABORTED if the signal says so; signals' own reasons are no CheckpointErrors. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new CheckpointError('ABORTED', 'The operation was aborted by its signal', { cause: signal.reason });
  }
}

/** The bytes of an index file, NOT_FOUND with advice if there is none. */
export async function readIndexFile(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path, MAX_INDEX_BYTES);
  } catch (error) {
    if (!isCheckpointError(error) || error.code !== 'NOT_FOUND') throw error;
    const prefix = path.slice(0, -'.index'.length);
    throw new CheckpointError('NOT_FOUND', `There is no checkpoint '${prefix}': the file ${path} doesn't exist.`, {
      path,
      errno: error.errno,
      cause: error,
    });
  }
}

/** Owned by whoever opened it; holds no file open. Any number of reads may be under way at once. */
class BundleReader implements Bundle {
  readonly prefix: string;
  readonly entries: ReadonlyMap<string, BundleEntryInfo>;
  readonly #index: ParsedIndex;
  readonly #shardSizes = new Map<number, Promise<number>>();

  constructor(prefix: string, index: ParsedIndex) {
    this.prefix = prefix;
    this.#index = index;
    const entries = new Map<string, BundleEntryInfo>();
    for (const [key, entry] of index.entries) entries.set(key, describe(index, key, entry));
    this.entries = entries;
  }

  get shardCount(): number {
    return this.#index.shardCount;
  }

  has(key: string): boolean {
    return this.entries.has(key);
  }

  info(key: string): BundleEntryInfo {
    const info = this.entries.get(key);
    if (info === undefined) throw this.#noSuchKey(key);
    return info;
  }

  dataPath(shard: number): string {
    return dataPath(this.prefix, shard, this.shardCount);
  }

  async read(requests: readonly BundleReadRequest[], options: BundleReadOptions = {}): Promise<void> {
    const regions = requests.map(({ key, into }) => {
      const entry = this.#entry(key);
      const bytes = elementSize(entry.dtype) * volume(wholeBox(entry.shape));
      if (elementSize(entry.dtype) === 0) {
        throw invalidArgument(
          `'${key}' is a ${entry.dtype} tensor, whose elements can't be read into memory in place.`,
        );
      }
      if (into.byteLength !== bytes) {
        throw invalidArgument(
          `'${key}' (${entry.dtype} ${describeShape(entry.shape)}) has ${bytes} bytes; memory of ${into.byteLength} was given.`,
          { key },
        );
      }
      return this.#region(key, entry, wholeBox(entry.shape), into, options.verify);
    });
    await this.#load(regions, options);
  }

  async readTensor(key: string, options: BundleReadOptions & { slice?: TensorSlice } = {}): Promise<HostTensor> {
    const entry = this.#entry(key);
    const { slice } = options;
    if (slice === undefined) return (await this.readTensors([key], options)).get(key)!;
    const box = requestedBox(slice, entry.shape, key);
    if (entry.dtype === 'string') return (await this.#readStrings([[key, entry, box]], options)).get(key)!;
    return (await this.#readFixed([[key, entry, box]], options)).get(key)!;
  }

  async readTensors(keys: Iterable<string>, options: BundleReadOptions = {}): Promise<Map<string, HostTensor>> {
    const order = [...new Set(keys)];
    const wanted = order.map((key) => [key, this.#entry(key), wholeBox(this.#entry(key).shape)] as const);
    const strings = await this.#readStrings(
      wanted.filter(([, entry]) => entry.dtype === 'string'),
      options,
    );
    const fixed = await this.#readFixed(
      wanted.filter(([, entry]) => entry.dtype !== 'string'),
      options,
    );
    return new Map(order.map((key) => [key, (strings.get(key) ?? fixed.get(key))!]));
  }

  async #readFixed(
    wanted: ReadonlyArray<readonly [string, StoredEntry, Box]>,
    options: BundleReadOptions,
  ): Promise<Map<string, HostTensor>> {
    for (const [key, { dtype, shape }, box] of wanted) {
      if (elementSize(dtype) === 0) {
        throw new CheckpointError('UNSUPPORTED', `'${key}': tensors of dtype ${dtype} can be listed, not read.`, {
          key,
        });
      }
      const bytes = volume(box) * elementSize(dtype);
      if (volume(box) * viewLanes(dtype) > MAX_VIEW_LENGTH) {
        throw new CheckpointError(
          'OUT_OF_RANGE',
          `'${key}' (${dtype} ${describeShape(shape)}): ${bytes} bytes don't fit into one typed array (at most ` +
            `${MAX_VIEW_LENGTH} elements here). Read it by slices.`,
          { key },
        );
      }
    }
    // Before memory is set aside for what an index claims, the files must be as large as it says.
    await this.#checkFiles(
      wanted.map(([key, entry, box]) => ({ key, parts: storedParts(this.#index, key, entry, box) })),
    );
    const tensors = new Map<string, HostTensor>();
    const regions = wanted.map(([key, entry, box]) => {
      const tensor = HostTensor.allocate({ dtype: entry.dtype, shape: box.length });
      tensors.set(key, tensor);
      return this.#region(key, entry, box, tensor.memory, options.verify);
    });
    await this.#load(regions, options);
    return tensors;
  }

  async #readStrings(
    wanted: ReadonlyArray<readonly [string, StoredEntry, Box]>,
    options: BundleReadOptions,
  ): Promise<Map<string, HostTensor>> {
    const tensors = new Map<string, HostTensor>();
    if (wanted.length === 0) return tensors;
    const builder = new LoadBuilder();
    const pending: Array<{ key: string; target: Box; part: StoredPart; bytes: Uint8Array; data: Uint8Array[] }> = [];
    for (const [key, entry, target] of wanted) {
      const parts = storedParts(this.#index, key, entry, target);
      await this.#checkFiles([{ key, parts }]);
      const data = Array.from({ length: volume(target) }, () => new Uint8Array(0));
      for (const part of parts) {
        const bytes = new Uint8Array(part.entry.size);
        builder.tensor(key, null);
        builder.extent(this.dataPath(part.entry.shard), part.entry.offset, part.entry.size, bytes);
        pending.push({ key, target, part, bytes, data });
      }
      tensors.set(key, new HostTensor({ dtype: 'string', shape: target.length, data }));
    }
    await this.#run(builder, options);
    for (const { key, target, part, bytes, data } of pending) {
      const { entry, box } = part;
      const path = this.dataPath(entry.shard);
      const elements = inContext(`${path}: '${key}' at ${entry.offset}`, { path, key, offset: entry.offset }, () =>
        readStrings(bytes, volume(box), options.verify === false ? null : entry.crc32c),
      );
      const runs = commonRuns(box, target);
      for (const [from, to] of runs.all()) {
        for (let i = 0; i < runs.length; i++) data[to + i] = elements[from + i]!;
      }
    }
    return tensors;
  }

  #region(key: string, entry: StoredEntry, target: Box, into: MemoryRange | DeviceMemory, verify: Verify): Region {
    return { key, entry, target, parts: storedParts(this.#index, key, entry, target), into, verify };
  }

  async #load(regions: readonly Region[], options: BundleReadOptions): Promise<void> {
    await this.#checkFiles(regions);
    const builder = new LoadBuilder();
    const inPieces: Array<{ region: Region; part: StoredPart; into: MemoryRange }> = [];
    for (const region of regions) {
      for (const part of region.parts) {
        const path = this.dataPath(part.entry.shard);
        if ('kind' in region.into || !needsPieces(part, region.target)) {
          addPart(builder, region.key, path, part, region.target, region.into, region.verify);
          continue;
        }
        inPieces.push({ region, part, into: region.into });
        const runs = commonRuns(part.box, region.target);
        const whole = volume(part.box) === runs.count * runs.length;
        if (region.verify ?? whole) {
          builder.tensor(region.key, part.entry.crc32c);
          builder.extent(path, part.entry.offset, part.entry.size, null);
        }
      }
    }
    await this.#run(builder, options);
    for (const { region, part, into } of inPieces) {
      await readInPieces(part, region.target, into, async (fileOffset, piece) => {
        const one = new LoadBuilder();
        one.tensor(region.key, null);
        one.extent(this.dataPath(part.entry.shard), fileOffset, piece.byteLength, piece);
        await this.#run(one, { ...options, onProgress: undefined });
      });
    }
  }

  async #run(builder: LoadBuilder, options: BundleReadOptions): Promise<void> {
    if (builder.tensorCount === 0) return;
    const { threads, stagingBytes, deviceChecksum, signal, onProgress } = options;
    try {
      await runLoad(builder.build({ threads, stagingBytes, deviceChecksum, progress: onProgress !== undefined }), {
        signal,
        onProgress,
        names: (tensor) => builder.keyOf(tensor),
      });
    } catch (error) {
      throw isCheckpointError(error) ? withOverwritten(error, builder) : error;
    }
  }

  /** That the data files exist and are as large as these parts need. */
  async #checkFiles(wanted: ReadonlyArray<{ key: string; parts: readonly StoredPart[] }>): Promise<void> {
    const sizes = new Map<number, number>();
    for (const { parts } of wanted) for (const { entry } of parts) sizes.set(entry.shard, 0);
    for (const shard of sizes.keys()) sizes.set(shard, await this.#shardSize(shard));
    for (const { key, parts } of wanted) {
      for (const { entry } of parts) {
        const bytes = sizes.get(entry.shard)!;
        if (entry.offset + entry.size <= bytes) continue;
        const path = this.dataPath(entry.shard);
        throw dataLoss(
          `'${key}' lies in ${path} at ${entry.offset} to ${entry.offset + entry.size}, but that file has ${bytes} bytes.`,
          { path, key, offset: entry.offset },
        );
      }
    }
  }

  #shardSize(shard: number): Promise<number> {
    let size = this.#shardSizes.get(shard);
    if (size === undefined) {
      size = fileSize(this.dataPath(shard));
      // What failed once is asked anew next time: the file may be on its way.
      size.catch(() => this.#shardSizes.delete(shard));
      this.#shardSizes.set(shard, size);
    }
    return size;
  }

  #entry(key: string): StoredEntry {
    const entry = this.#index.entries.get(key);
    if (entry === undefined) throw this.#noSuchKey(key);
    return entry;
  }

  #noSuchKey(key: string): CheckpointError {
    if (typeof key !== 'string') return invalidArgument(`The name of a tensor is a string, not ${describeValue(key)}.`);
    const names = [...this.entries.keys()];
    const some = names.length > 5 ? `${names.slice(0, 5).join("', '")}', …` : `${names.join("', '")}'`;
    return new CheckpointError('NOT_FOUND', `The checkpoint '${this.prefix}' has no tensor '${key}'; it has '${some}`, {
      key,
      path: indexPath(this.prefix),
    });
  }
}

async function fileSize(path: string): Promise<number> {
  const found = await stat(path);
  if (found === null) {
    throw new CheckpointError('NOT_FOUND', `The checkpoint's data file ${path} is missing.`, { path });
  }
  return found.size;
}

function describe(index: ParsedIndex, key: string, entry: StoredEntry): BundleEntryInfo {
  const { dtype, shape } = entry;
  if (entry.slices.length === 0) {
    const { size, shard, offset, crc32c } = entry;
    return { dtype, shape, byteLength: size, shard, offset, crc32c, slices: null };
  }
  const byteLength = storedByteLength(index, key, entry);
  return { dtype, shape, byteLength, shard: null, offset: null, crc32c: null, slices: entry.slices };
}

/** Adds to a failed load which keys' memory was written to. A file that ends too early is damage like any other. */
function withOverwritten(error: CheckpointError, builder: LoadBuilder): CheckpointError {
  const touched = error instanceof LoadFailure ? error.touched : undefined;
  const keys = new Set<string>();
  touched?.forEach((state, tensor) => {
    if (state !== 0) keys.add(builder.keyOf(tensor));
  });
  const { path, key, offset, errno, syscall } = error;
  const code = error.code === 'OUT_OF_RANGE' ? 'DATA_LOSS' : error.code;
  const context = { path, key, offset, errno, syscall, overwritten: [...keys], cause: error };
  return new CheckpointError(code, error.message, context);
}
