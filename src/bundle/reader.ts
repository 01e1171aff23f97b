import { CheckpointError, describeValue, invalidArgument } from '../errors.ts';
import type { KeyColumns } from '../native/decode.ts';
import { inTurns, promiseOf, ShortTurns, type Steps, type Turns } from '../steps.ts';
import { type DType, elementSize, viewLanes } from '../tensor/dtypes.ts';
import { HostTensor } from '../tensor/host-tensor.ts';
import { MAX_VIEW_LENGTH, type MemoryRange } from '../tensor/memory.ts';
import { describeShape, elementCount } from '../tensor/shape.ts';
import type { DeviceMemory } from '../tensor/source.ts';
import { requestedBox, wholeBox } from './boxes.ts';
import { BundleFiles } from './bundle-files.ts';
import { EntryInfos } from './entry-infos.ts';
import { LoadBuilder } from './load-builder.ts';
import { indexPath } from './names.ts';
import { newTensor } from './new-tensor.ts';
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

/** Keys that are looked up before the event loop may turn. */
const PIECE = 64;

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
    const regions: Region[] = [];
    const check = (first: number, end: number): void => {
      for (let i = first; i < end; i++) {
        const row = reads.row(i);
        const into = reads.into(i);
        if (into === undefined) continue;
        this.#checkMemory(row, into);
        if (!entries.slices.has(row)) continue;
        const entry = entries.valueAt(row);
        regions.push(this.#loads.region(entries.keyAt(row), entry, wholeBox(entry.shape), into, options.verify));
      }
    };
    await promiseOf(inTurns(turns, reads.length, check));
    await this.#checkFiles(reads.length, (i) => (reads.into(i) === undefined ? -1 : reads.row(i)), turns);
    const builder = new LoadBuilder(reads.length, (row) => entries.keyAt(row));
    const add = (first: number, end: number): void => {
      for (let i = first; i < end; i++) {
        const row = reads.row(i);
        const into = reads.into(i);
        const size = columns.size[row]!;
        if (into === undefined || entries.slices.has(row)) continue;
        // Whose memory it is may have given other memory since: what lies beside that must not be written to.
        if (into.byteLength !== size) this.#checkMemory(row, into);
        if (size === 0) continue;
        builder.tensor(row, options.verify === false ? null : columns.crc32c[row]!);
        builder.extent(this.#files.path(columns.shard[row]!), columns.offset[row]!, size, into);
      }
    };
    try {
      await promiseOf(inTurns(turns, reads.length, add));
      await this.#loads.load(regions, options, builder);
    } finally {
      builder.free();
    }
  }

  async readTensor(key: string, options: BundleReadOptions & { slice?: TensorSlice } = {}): Promise<HostTensor> {
    const { slice } = options;
    if (slice === undefined) return (await this.readTensors([key], options)).get(key)!;
    const entry = this.#index.entries.valueAt(this.#row(key));
    const box = requestedBox(slice, entry.shape, key);
    if (entry.dtype === 'string') return (await readStringTensors([[key, entry, box]], this.#loads, options)).get(key)!;
    checkReadable(key, entry.dtype, box.length);
    // Before memory is set aside for what an index claims, the files must be as large as it says.
    await this.#loads.checkFiles([{ key, parts: this.#loads.parts(key, entry, box) }]);
    const tensor = HostTensor.allocate({ dtype: entry.dtype, shape: box.length });
    await this.#loads.load([this.#loads.region(key, entry, box, tensor.memory, options.verify)], options);
    return tensor;
  }

  async readTensors(keys: Iterable<string>, options: BundleReadOptions = {}): Promise<Map<string, HostTensor>> {
    const turns = new ShortTurns();
    const { entries } = this.#index;
    const { tensors, fixed, strings } = await promiseOf(this.#wanted(keys, turns));
    const texts = strings.map((row) => {
      const entry = entries.valueAt(row);
      return [entries.keyAt(row), entry, wholeBox(entry.shape)] as const;
    });
    for (const [key, tensor] of await readStringTensors(texts, this.#loads, options)) tensors.set(key, tensor);
    if (fixed.length > 0) await this.#readFixed(fixed, tensors, options, turns);
    return tensors as Map<string, HostTensor>;
  }

  /** Reads tensors of fixed width into new ones, and puts these in their places. */
  async #readFixed(
    fixed: readonly number[],
    tensors: Map<string, HostTensor | undefined>,
    options: BundleReadOptions,
    turns: Turns,
  ): Promise<void> {
    const { entries } = this.#index;
    // Before memory is set aside for what an index claims, the files must be as large as it says.
    const sliced = fixed
      .filter((row) => entries.slices.has(row))
      .map((row) => {
        const key = entries.keyAt(row);
        const entry = entries.valueAt(row);
        return { key, parts: this.#loads.parts(key, entry, wholeBox(entry.shape)) };
      });
    await this.#loads.checkFiles(sliced);
    await this.#checkFiles(fixed.length, (i) => fixed[i]!, turns);
    const made: HostTensor[] = [];
    const make = (first: number, end: number): void => {
      for (let i = first; i < end; i++) {
        const tensor = newTensor(this.entries.valueAt(fixed[i]!));
        made.push(tensor);
        tensors.set(entries.keyAt(fixed[i]!), tensor);
      }
    };
    await promiseOf(inTurns(turns, fixed.length, make));
    await this.read({ length: fixed.length, row: (i) => fixed[i]!, into: (i) => made[i]!.memory }, options);
  }

  /** The rows of these keys, each once, and a place in the order of the keys for each tensor. */
  *#wanted(keys: Iterable<string>, turns: Turns): Steps<Wanted> {
    const { entries } = this.#index;
    const tensors = new Map<string, HostTensor | undefined>();
    const fixed: number[] = [];
    const strings: number[] = [];
    for (const key of keys) {
      if (tensors.has(key)) continue;
      const row = this.#row(key);
      const dtype = entries.dtypeAt(row);
      tensors.set(key, undefined);
      if (dtype === 'string') strings.push(row);
      else {
        checkReadable(key, dtype, entries.shapeAt(row));
        fixed.push(row);
      }
      if (tensors.size % PIECE === 0 && turns.due) yield turns.next();
    }
    return { tensors, fixed, strings };
  }

  /**
   * That the data files are there, and as large as these tensors need but for those in slices.
   *
   * @param row the row of `i` < `count`, or −1.
   */
  async #checkFiles(count: number, row: (i: number) => number, turns: Turns): Promise<void> {
    const { entries } = this.#index;
    const { shard, offset, size } = entries.rows;
    const shards = new Set<number>();
    const collect = (first: number, end: number): void => {
      for (let i = first; i < end; i++) {
        const at = row(i);
        if (at >= 0 && !entries.slices.has(at)) shards.add(shard[at]!);
      }
    };
    await promiseOf(inTurns(turns, count, collect));
    const sizes = await this.#files.sizes(shards);
    const check = (first: number, end: number): void => {
      for (let i = first; i < end; i++) {
        const at = row(i);
        if (at < 0 || entries.slices.has(at)) continue;
        if (offset[at]! + size[at]! <= sizes.get(shard[at]!)!) continue;
        throw this.#files.tooShort(entries.keyAt(at), entries.valueAt(at), sizes);
      }
    };
    await promiseOf(inTurns(turns, count, check));
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

  #row(key: string): number {
    const row = this.#index.entries.find(key);
    if (row < 0) throw this.#noSuchKey(key);
    return row;
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

/** Tensors to be read, by their rows, and a place for each in the order in which they were asked for. */
interface Wanted {
  readonly tensors: Map<string, HostTensor | undefined>;
  readonly fixed: readonly number[];
  readonly strings: readonly number[];
}

/** Refuses what has no typed array. `shape`: of what is read of the tensor. */
function checkReadable(key: string, dtype: DType, shape: readonly number[]): void {
  if (elementSize(dtype) === 0) {
    throw new CheckpointError('UNSUPPORTED', `'${key}': tensors of dtype ${dtype} can be listed, not read.`, { key });
  }
  const elements = elementCount(shape);
  if (elements * viewLanes(dtype) <= MAX_VIEW_LENGTH) return;
  throw new CheckpointError(
    'OUT_OF_RANGE',
    `'${key}' (${dtype} ${describeShape(shape)}): ${elements * elementSize(dtype)} bytes don't fit into one typed array ` +
      `(at most ${MAX_VIEW_LENGTH} elements here). Read it by slices.`,
    { key },
  );
}
