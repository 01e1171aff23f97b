import { float64Column, freeColumns, uint8Column, uint32Column } from '../native/columns.ts';
import { ExtentKind, gpuDirectUse, type LoadProgram, NO_BUFFER } from '../native/contract.ts';
import { runLoad } from '../native/engine.ts';
import { takeBuffers } from '../native/take-buffers.ts';
import { promiseOf, ShortTurns, type Steps, type Turns } from '../steps.ts';
import type { MemoryRange } from '../tensor/memory.ts';
import type { DeviceMemory } from '../tensor/source.ts';
import { BufferNumbers } from './buffer-numbers.ts';
import { addressNumber, DeviceRows } from './device-rows.ts';
import { NumberColumn } from './number-column.ts';
import type { BundleReadOptions, Keyed } from './types.ts';

/** Bytes of staging memory a read uses where the caller doesn't say. */
export const DEFAULT_STAGING_BYTES = 256 * 2 ** 20;

/** How a program is run. Defaults: as of {@link BundleReadOptions}. */
export interface LoadOptions extends Omit<BundleReadOptions, 'verify'> {
  /** Collect damage, and read the rest. @default false */
  readonly keepGoing?: boolean;
}

/** Collects what is to be read, file by file, and makes one load program of it. */
export class LoadBuilder {
  readonly #paths: string[] = [];
  readonly #pathNumbers = new Map<string, number>();
  /** Tensors of one file mostly come one after the other. */
  #lastPath = '';
  #lastNumber = 0;
  readonly #memory = new BufferNumbers();
  readonly #devices = new DeviceRows();
  /** By tensor: its row, or −1 − its place among the others. */
  readonly #tensors: NumberColumn<Int32Array>;
  readonly #others: Keyed[] = [];
  readonly #keyAt: (row: number) => string;
  #extents: ExtentColumns;
  #extentCount = 0;
  #expected: Uint32Array;
  #verify: Uint8Array;

  /**
   * @param capacity tensors and extents that will about be added.
   * @param keyAt the key of a row, for tensors that are known by theirs.
   */
  constructor(capacity = 16, keyAt: (row: number) => string = String) {
    this.#tensors = NumberColumn.int32(capacity);
    this.#keyAt = keyAt;
    this.#extents = columns(capacity);
    this.#expected = uint32Column(capacity);
    this.#verify = uint8Column(capacity);
  }

  get tensorCount(): number {
    return this.#tensors.length;
  }

  keyOf(tensor: number): string {
    if (tensor >= this.tensorCount) return `tensor ${tensor}`;
    const row = this.#tensors.at(tensor);
    return row >= 0 ? this.#keyAt(row) : this.#others[-1 - row]!.key;
  }

  /** Starts a tensor, known by its row where there may be very many; extents follow. `crc32c` null: its checksum is not compared. */
  tensor(which: number | Keyed, crc32c: number | null): void {
    const tensor = this.#tensors.length;
    this.#tensors.push(typeof which === 'number' ? which : -this.#others.push(which));
    if (tensor === this.#expected.length) {
      this.#expected = grown(this.#expected, uint32Column(2 * tensor + 1));
      this.#verify = grown(this.#verify, uint8Column(2 * tensor + 1));
    }
    this.#expected[tensor] = crc32c ?? 0;
    this.#verify[tensor] = crc32c === null ? 0 : 1;
  }

  /** Adds bytes of the tensor last started, in the order of its bytes. `into` null: they are only summed. */
  extent(
    path: string,
    fileOffset: number,
    bytes: number,
    into: MemoryRange | DeviceMemory | null,
    targetOffset = 0,
  ): void {
    const row = this.#extentCount++;
    if (row === this.#extents.bytes.length) this.#extents = grownColumns(this.#extents);
    const extents = this.#extents;
    extents.file[row] = this.#fileNumber(path);
    extents.fileOffset[row] = fileOffset;
    extents.bytes[row] = bytes;
    const tensor = this.tensorCount - 1;
    extents.tensor[row] = tensor;
    if (into === null) {
      extents.buffer[row] = NO_BUFFER;
    } else if ('kind' in into) {
      const keyOf = () => this.keyOf(tensor);
      const keyed = {
        get key() {
          return keyOf();
        },
      };
      extents.kind[row] = ExtentKind.cudaDevice;
      extents.buffer[row] = this.#devices.add(into, keyed);
      extents.target[row] = addressNumber(into.pointer, 'device address', keyed) + targetOffset;
    } else {
      extents.buffer[row] = this.#memory.numberOf(into);
      extents.target[row] = into.byteOffset + targetOffset;
    }
  }

  #fileNumber(path: string): number {
    if (path === this.#lastPath) return this.#lastNumber;
    let found = this.#pathNumbers.get(path);
    if (found === undefined) {
      found = this.#paths.push(path) - 1;
      this.#pathNumbers.set(path, found);
    }
    this.#lastPath = path;
    this.#lastNumber = found;
    return found;
  }

  /** Once the program has ended. */
  free(): void {
    freeColumns(...Object.values(this.#extents), this.#expected, this.#verify);
    this.#tensors.free();
  }

  /** Runs what was collected, once, as {@link runLoad}. Errors and warnings name their tensor's key. */
  async run(options: LoadOptions = {}, turns: Turns = new ShortTurns()): ReturnType<typeof runLoad> {
    const { signal, onProgress, onWarning } = options;
    const program = await promiseOf(this.build(turns, options));
    return await runLoad(program, { signal, onProgress, onWarning, names: (tensor) => this.keyOf(tensor) });
  }

  /** The program. To be called once, when all extents are there: the memory is handed over. */
  *build(turns: Turns, options: LoadOptions = {}): Steps<LoadProgram> {
    const { taken, buffers, owners } = yield* takeBuffers(this.#memory.buffers, turns);
    const onDevices = this.#devices.fields();
    const { kind, file, fileOffset, bytes, buffer, target, tensor } = this.#extents;
    const extents = this.#extentCount;
    const count = this.tensorCount;
    return {
      files: { paths: this.#paths },
      taken,
      buffers,
      ...onDevices,
      owners: [...owners, ...(onDevices.owners ?? [])],
      extents: {
        kind: kind.subarray(0, extents),
        file: file.subarray(0, extents),
        fileOffset: fileOffset.subarray(0, extents),
        bytes: bytes.subarray(0, extents),
        buffer: buffer.subarray(0, extents),
        target: target.subarray(0, extents),
        tensor: tensor.subarray(0, extents),
      },
      tensors: { count, expected: this.#expected.subarray(0, count), verify: this.#verify.subarray(0, count) },
      options: {
        threads: options.threads ?? 0,
        stagingBytes: options.stagingBytes ?? DEFAULT_STAGING_BYTES,
        direct: true,
        progress: options.onProgress !== undefined,
        keepGoing: options.keepGoing ?? false,
        deviceChecksum: options.deviceChecksum ?? false,
        gpuDirect: gpuDirectUse(options.gpuDirect ?? false),
      },
    };
  }
}

type ExtentColumns = ReturnType<typeof columns>;

function columns(rows: number) {
  return {
    kind: uint8Column(rows),
    file: uint32Column(rows),
    fileOffset: float64Column(rows),
    bytes: float64Column(rows),
    buffer: uint32Column(rows),
    target: float64Column(rows),
    tensor: uint32Column(rows),
  };
}

function grownColumns(from: ExtentColumns): ExtentColumns {
  const to = columns(2 * from.bytes.length + 1);
  for (const name of Object.keys(from) as (keyof ExtentColumns)[]) to[name].set(from[name]);
  freeColumns(...Object.values(from));
  return to;
}

function grown<T extends Uint8Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  freeColumns(from);
  return to;
}
