import { CheckpointError, describeValue, invalidArgument } from '../errors.ts';
import type { KeyColumns } from '../native/decode.ts';
import { inTurns, promiseOf, ShortTurns } from '../steps.ts';
import { elementSize, viewLanes } from '../tensor/dtypes.ts';
import { HostTensor } from '../tensor/host-tensor.ts';
import { MAX_VIEW_LENGTH, type MemoryRange } from '../tensor/memory.ts';
import { describeShape, elementCount } from '../tensor/shape.ts';
import type { DeviceMemory } from '../tensor/source.ts';
import { type Box, requestedBox, volume, wholeBox } from './boxes.ts';
import { BundleFiles } from './bundle-files.ts';
import { EntryInfos } from './entry-infos.ts';
import { LoadBuilder } from './load-builder.ts';
import type { StoredEntry } from './messages.ts';
import { indexPath } from './names.ts';
import { openIndex } from './open-index.ts';
import type { ParsedIndex } from './parse-index.ts';
import { type Region, RegionLoads } from './region-loads.ts';
import { readStringTensors } from './string-tensors.ts';
import type { Bundle, BundleEntryInfo, BundleReadOptions, BundleReads, TensorSlice } from './types.ts';

/**
 * Opens the checkpoint at `prefix`: reads its index and checks all of it.
 *
 * @throws CheckpointError NOT_FOUND without an index, DATA_LOSS for a damaged one, UNSUPPORTED for a version, byte
 * order or dtype that this package doesn't read.
 */
export async function openBundle(prefix: string, options: { signal?: AbortSignal } = {}): Promise<Bundle> {
  return new BundleReader(prefix, await openIndex(prefix, options.signal));
}

/** Owned by whoever opened it; holds no file open. Any number of reads may be under way at once. */
class BundleReader implements Bundle {
  readonly prefix: string;
  readonly entries: EntryInfos;
  readonly #index: ParsedIndex;
  readonly #files: BundleFiles;
  readonly #loads: RegionLoads;

  constructor(prefix: string, index: ParsedIndex) {
    this.prefix = prefix;
    this.#index = index;
    this.#files = new BundleFiles(prefix, index.shardCount);
    this.#loads = new RegionLoads(index, this.#files);
    this.entries = new EntryInfos(index);
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

  get keyColumns(): KeyColumns {
    return this.#index.entries.rows.keys;
  }

  dataPath(shard: number): string {
    return this.#files.path(shard);
  }

  async read(reads: BundleReads, options: BundleReadOptions = {}): Promise<void> {
    const { entries } = this.#index;
    const columns = entries.rows;
    const turns = new ShortTurns();
    const shards = new Set<number>();
    const regions: Region[] = [];
    const check = (first: number, end: number): void => {
      for (let i = first; i < end; i++) {
        const into = reads.into(i);
        if (into === undefined) continue;
        const row = reads.row(i);
        this.#checkMemory(row, into);
        if (!entries.slices.has(row)) {
          shards.add(columns.shard[row]!);
          continue;
        }
        const entry = entries.valueAt(row);
        regions.push(this.#loads.region(entries.keyAt(row), entry, wholeBox(entry.shape), into, options.verify));
      }
    };
    await promiseOf(inTurns(turns, reads.length, check));
    const sizes = await this.#files.sizes(shards);
    const builder = new LoadBuilder(reads.length, (row) => entries.keyAt(row));
    const add = (first: number, end: number): void => {
      for (let i = first; i < end; i++) {
        const row = reads.row(i);
        const into = reads.into(i);
        if (into === undefined || entries.slices.has(row)) continue;
        const wanted = { shard: columns.shard[row]!, offset: columns.offset[row]!, size: columns.size[row]! };
        if (!this.#files.hold(wanted, sizes)) throw this.#files.tooShort(entries.keyAt(row), wanted, sizes);
        if (wanted.size === 0) continue;
        builder.tensor(row, options.verify === false ? null : columns.crc32c[row]!);
        builder.extent(this.#files.path(wanted.shard), wanted.offset, wanted.size, into);
      }
    };
    await promiseOf(inTurns(turns, reads.length, add));
    await this.#loads.load(regions, options, builder);
  }

  async readTensor(key: string, options: BundleReadOptions & { slice?: TensorSlice } = {}): Promise<HostTensor> {
    const entry = this.#entry(key);
    const { slice } = options;
    if (slice === undefined) return (await this.readTensors([key], options)).get(key)!;
    const box = requestedBox(slice, entry.shape, key);
    if (entry.dtype === 'string') return (await readStringTensors([[key, entry, box]], this.#loads, options)).get(key)!;
    return (await this.#readFixed([[key, entry, box]], options)).get(key)!;
  }

  async readTensors(keys: Iterable<string>, options: BundleReadOptions = {}): Promise<Map<string, HostTensor>> {
    const order = [...new Set(keys)];
    const wanted = order.map((key) => [key, this.#entry(key), wholeBox(this.#entry(key).shape)] as const);
    const strings = await readStringTensors(
      wanted.filter(([, entry]) => entry.dtype === 'string'),
      this.#loads,
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
    await this.#loads.checkFiles(
      wanted.map(([key, entry, box]) => ({ key, parts: this.#loads.parts(key, entry, box) })),
    );
    const tensors = new Map<string, HostTensor>();
    const regions = wanted.map(([key, entry, box]) => {
      const tensor = HostTensor.allocate({ dtype: entry.dtype, shape: box.length });
      tensors.set(key, tensor);
      return this.#loads.region(key, entry, box, tensor.memory, options.verify);
    });
    await this.#loads.load(regions, options);
    return tensors;
  }

  #checkMemory(row: number, into: MemoryRange | DeviceMemory): void {
    const { entries } = this.#index;
    const dtype = entries.dtypeAt(row);
    const shape = entries.shapeAt(row);
    const bytes = elementSize(dtype) * elementCount(shape);
    if (elementSize(dtype) !== 0 && into.byteLength === bytes) return;
    const key = entries.keyAt(row);
    if (elementSize(dtype) === 0) {
      throw invalidArgument(`'${key}' is a ${dtype} tensor, whose elements can't be read into memory in place.`);
    }
    const tensor = `'${key}' (${dtype} ${describeShape(shape)})`;
    throw invalidArgument(`${tensor} has ${bytes} bytes; memory of ${into.byteLength} was given.`, { key });
  }

  #entry(key: string): StoredEntry {
    const entry = this.#index.entries.get(key);
    if (entry === undefined) throw this.#noSuchKey(key);
    return entry;
  }

  #noSuchKey(key: string): CheckpointError {
    if (typeof key !== 'string') return invalidArgument(`The name of a tensor is a string, not ${describeValue(key)}.`);
    const names = Array.from({ length: Math.min(5, this.entries.size) }, (_, row) => this.entries.keyAt(row));
    const some = `${names.join("', '")}'${this.entries.size > 5 ? ', …' : ''}`;
    return new CheckpointError('NOT_FOUND', `The checkpoint '${this.prefix}' has no tensor '${key}'; it has '${some}`, {
      key,
      path: indexPath(this.prefix),
    });
  }
}
