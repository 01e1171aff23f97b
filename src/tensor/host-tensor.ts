import { CheckpointError, describeValue, invalidArgument } from '../errors.ts';
import { type DType, elementSize, isDType, viewLanes, viewOf } from './dtypes.ts';
import { allocateMemory, copyMemory, MAX_VIEW_LENGTH, type MemoryRange } from './memory.ts';
import { checkShape, describeShape, elementCount, sameShape } from './shape.ts';
import type { TensorSource } from './source.ts';

/** The typed view of a tensor's elements, by dtype. Complex numbers are pairs (real, imaginary). */
export interface TensorDataByDType extends Record<DType, NumericData | Uint8Array[]> {
  float32: Float32Array;
  float64: Float64Array;
  float16: Uint16Array;
  bfloat16: Uint16Array;
  int8: Int8Array;
  int16: Int16Array;
  int32: Int32Array;
  int64: BigInt64Array;
  uint8: Uint8Array;
  uint16: Uint16Array;
  uint32: Uint32Array;
  uint64: BigUint64Array;
  bool: Uint8Array;
  complex64: Float32Array;
  complex128: Float64Array;
  string: Uint8Array[];
}

export type NumericData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

/** What a {@link HostTensor} is made from, and what is accepted wherever one is. */
export interface HostTensorInit<D extends DType = DType> {
  /** TensorFlow's name of the element type. */
  dtype: D;
  /** Dimensions; `[]` is a scalar. */
  shape: readonly number[];
  /**
   * The elements, row-major. Fixed-width dtypes: the typed array of the dtype, or raw little-endian bytes (Buffer,
   * Uint8Array, ArrayBuffer). Strings: `string[]` (stored as UTF-8) or `Uint8Array[]`.
   */
  data: NumericData | ArrayBufferLike | readonly string[] | Uint8Array[];
}

const brand = Symbol.for('tensor-checkpoint.HostTensor');

let numbersGiven = 0;
let numberOf: (value: object) => number;
let keptBy: <T extends object>(tensor: HostTensor, make: (tensor: HostTensor) => T) => T;
let madeWithEach: ((tensor: HostTensor) => object) | undefined;

/**
 * A number that no other HostTensor has: a million of them can be told apart by it in a table, where hashing them takes
 * a quarter of a second. −1 for any other object, tensors of another copy of this package included.
 */
export function hostTensorNumber(value: object): number {
  return numberOf(value);
}

/**
 * Has what the layer above keeps with each tensor of fixed width made with it: a million small objects that a save makes of
 * old tensors are moved by one garbage collection after the other, 20 ms each.
 */
export function makeWithTensors(make: (tensor: HostTensor) => object): void {
  madeWithEach = make;
}

/** What that layer keeps with a tensor, made now where it wasn't made with it. A WeakMap would weigh on every collection. */
export function keptWith<T extends object>(tensor: HostTensor, make: (tensor: HostTensor) => T): T {
  return keptBy(tensor, make);
}

/**
 * A tensor in host memory. It wraps the caller's memory and copies nothing: a save reads that memory, a restore writes
 * into it, so typed arrays made over it stay valid.
 *
 * @example
 * ```ts
 * const weights = new Float32Array(6);
 * const tensor = new HostTensor({ dtype: 'float32', shape: [2, 3], data: weights });
 * ```
 */
export class HostTensor<D extends DType = DType> {
  static {
    Object.defineProperty(HostTensor.prototype, brand, { value: true });
    numberOf = (value) => (#number in value ? value.#number : -1);
    keptBy = <T extends object>(tensor: HostTensor, make: (tensor: HostTensor) => T): T => {
      if (!(#number in tensor)) return make(tensor);
      tensor.#kept ??= make(tensor);
      return tensor.#kept as T;
    };
  }

  readonly #number = numbersGiven++;
  #kept: object | undefined;
  readonly dtype: D;
  /** Dimensions, frozen; `[]` is a scalar. */
  readonly shape: readonly number[];
  /**
   * The elements as the dtype's typed array (float32 `Float32Array`, int64 `BigInt64Array`, float16 and bfloat16
   * `Uint16Array`, bool and float8 `Uint8Array`, complex `Float32Array`/`Float64Array` of pairs); strings are
   * `Uint8Array[]`.
   */
  readonly data: TensorDataByDType[D];

  /**
   * @throws CheckpointError INVALID_ARGUMENT: an unknown dtype or shape, a wrong kind or length of data, misaligned or
   * resizable memory.
   */
  constructor(init: HostTensorInit<D>) {
    if (typeof init !== 'object' || init === null) {
      throw invalidArgument(`A HostTensor is made from { dtype, shape, data }, given ${describeValue(init)}.`);
    }
    if (!isDType(init.dtype)) {
      throw invalidArgument(`Unknown dtype ${describeValue(init.dtype)}. Use TensorFlow's name, such as 'float32'.`);
    }
    const dtype: D = init.dtype;
    if (dtype === 'variant') throw invalidArgument('Tensors of dtype variant can be listed, not made.');
    this.dtype = dtype;
    this.shape = checkShape(init.shape, elementSize(dtype));
    if (dtype === 'string') {
      this.data = stringData(init.data, elementCount(this.shape)) as TensorDataByDType[D];
    } else {
      const memory = checkedMemory(dtype, this.shape, init.data);
      this.data = typedView(dtype, memory, init.data) as TensorDataByDType[D];
      this.#kept = madeWithEach?.(this);
    }
  }

  /**
   * A tensor in new, zeroed memory that is aligned for direct I/O, so that it is saved and restored without a copy.
   * Strings start empty. Up to Node 22, V8 is told of a part of that memory, so that it doesn't collect garbage for every
   * 64 MiB of a large state. `process.memoryUsage().external` has all of it.
   *
   * @throws CheckpointError INVALID_ARGUMENT for a bad dtype or shape, OUT_OF_RANGE if it is larger than memory allows.
   */
  static allocate<D extends DType>(init: { dtype: D; shape: readonly number[] }): HostTensor<D> {
    if (!isDType(init?.dtype)) throw invalidArgument(`Unknown dtype ${describeValue(init?.dtype)}.`);
    const shape = checkShape(init.shape, elementSize(init.dtype));
    const count = elementCount(shape);
    if (init.dtype === 'string') {
      const data = Array.from({ length: count }, () => new Uint8Array(0));
      return new HostTensor<D>({ dtype: init.dtype, shape, data });
    }
    return new HostTensor<D>({ dtype: init.dtype, shape, data: allocateMemory(count * elementSize(init.dtype)) });
  }

  /**
   * The tensor's memory. A string tensor has no contiguous memory: INVALID_ARGUMENT; use {@link data}. Above 4 GiB on
   * Node 20, where no Uint8Array is that long: OUT_OF_RANGE; {@link data} and {@link memory} are there all the same.
   */
  get bytes(): Uint8Array {
    const { buffer, byteOffset, byteLength } = this.memory;
    if (byteLength > MAX_VIEW_LENGTH) {
      throw new CheckpointError(
        'OUT_OF_RANGE',
        `A tensor of ${byteLength} bytes can't be seen as one Uint8Array here (at most ${MAX_VIEW_LENGTH}); use data.`,
      );
    }
    return new Uint8Array(buffer, byteOffset, byteLength);
  }

  /** Where the tensor's bytes lie, of any length. A string tensor has no contiguous memory: INVALID_ARGUMENT. */
  get memory(): MemoryRange {
    if (this.dtype === 'string') throw invalidArgument('A string tensor has no `bytes`; its elements are in `data`.');
    return this.data as NumericData;
  }

  /** Bytes of the elements; for strings, the sum of the elements' lengths. */
  get byteLength(): number {
    if (this.dtype !== 'string') return this.memory.byteLength;
    return (this.data as Uint8Array[]).reduce((sum, element) => sum + element.byteLength, 0);
  }

  /**
   * Copies the elements of `other` into this tensor's memory.
   *
   * @throws CheckpointError DTYPE_MISMATCH or SHAPE_MISMATCH where the two differ.
   */
  assign(other: HostTensorInit | HostTensor): this {
    const source = toHostTensor(other);
    if (source.dtype !== this.dtype) {
      throw new CheckpointError('DTYPE_MISMATCH', `Can't assign ${source.dtype} to a tensor of ${this.dtype}.`);
    }
    if (!sameShape(source.shape, this.shape)) {
      throw new CheckpointError(
        'SHAPE_MISMATCH',
        `Can't assign a tensor of shape ${describeShape(source.shape)} to one of shape ${describeShape(this.shape)}.`,
      );
    }
    if (this.dtype === 'string') {
      const target = this.data as Uint8Array[];
      (source.data as Uint8Array[]).forEach((element, i) => {
        target[i] = element.slice();
      });
    } else {
      copyMemory(this.memory, source.memory);
    }
    return this;
  }
}

/** Whether `value` is a HostTensor, of this copy of the package or of another one in the process. */
export function isHostTensor(value: unknown): value is HostTensor {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[brand] === true;
}

/** Whether `value` looks like the plain `{ dtype, shape, data }` that is accepted where a HostTensor is. */
export function isHostTensorLike(value: unknown): value is HostTensorInit | HostTensor {
  if (isHostTensor(value)) return true;
  if (typeof value !== 'object' || value === null) return false;
  const { dtype, shape, data } = value as Partial<HostTensorInit>;
  return isDType(dtype) && Array.isArray(shape) && typeof data === 'object' && data !== null;
}

/** `value` itself if it is a HostTensor, else one made over the memory of a plain `{ dtype, shape, data }`. */
export function toHostTensor(value: unknown): HostTensor {
  return isHostTensor(value) ? value : new HostTensor(value as HostTensorInit);
}

/** Where a save finds the tensor's bytes. */
export function hostTensorSource(tensor: HostTensor): TensorSource {
  if (tensor.dtype === 'string') return { kind: 'strings', elements: tensor.data as Uint8Array[] };
  return { kind: 'memory', bytes: tensor.memory };
}

function checkedMemory(dtype: DType, shape: readonly number[], data: unknown): MemoryRange {
  const expected = elementCount(shape) * elementSize(dtype);
  const what = `${dtype} of shape ${describeShape(shape)}`;
  let memory: MemoryRange;
  if (ArrayBuffer.isView(data)) {
    const View = viewOf(dtype)!;
    // Compared by name: an array of another realm (a vm context, a test runner's) is as good.
    const given = Object.prototype.toString.call(data).slice(8, -1);
    const isRaw = given === 'Uint8Array' || given === 'Uint8ClampedArray' || given === 'DataView';
    if (given !== View.name && !isRaw) {
      throw invalidArgument(`The data of ${what} must be a ${View.name} or raw bytes, given a ${given}.`);
    }
    memory = { buffer: data.buffer, byteOffset: data.byteOffset, byteLength: data.byteLength };
  } else if (isArrayBuffer(data)) {
    memory = { buffer: data, byteOffset: 0, byteLength: data.byteLength };
  } else {
    throw invalidArgument(`The data of ${what} must be a typed array, a Buffer or an ArrayBuffer.`);
  }
  const buffer = memory.buffer as { resizable?: boolean; growable?: boolean };
  if (buffer.resizable === true || buffer.growable === true) {
    throw invalidArgument(`The data of ${what} lies in a resizable buffer, which can't be saved. Copy it first.`);
  }
  if (memory.byteLength !== expected) {
    throw invalidArgument(`The data of ${what} must have ${expected} bytes, given ${memory.byteLength}.`);
  }
  return memory;
}

function typedView(dtype: DType, memory: MemoryRange, given: unknown): NumericData {
  const View = viewOf(dtype)!;
  if (given instanceof View && given.constructor === View) return given;
  const entryBytes = elementSize(dtype) / viewLanes(dtype);
  if (memory.byteOffset % entryBytes !== 0) {
    throw invalidArgument(
      `The data of a ${dtype} tensor must be aligned to ${entryBytes} bytes, given memory at offset ` +
        `${memory.byteOffset} of its buffer. Copy it, for example with Uint8Array.prototype.slice.`,
    );
  }
  return new View(memory.buffer as ArrayBuffer, memory.byteOffset, memory.byteLength / entryBytes);
}

function stringData(data: unknown, count: number): Uint8Array[] {
  if (!Array.isArray(data)) throw invalidArgument('The data of a string tensor is an array of strings or Uint8Arrays.');
  if (data.length !== count) {
    throw invalidArgument(`The data of this string tensor must have ${count} elements, given ${data.length}.`);
  }
  const isBytes = (element: unknown) => Object.prototype.toString.call(element) === '[object Uint8Array]';
  // The caller's own array, so that a restore is seen through it.
  if (data.every(isBytes)) return data as Uint8Array[];
  const encoder = new TextEncoder();
  return data.map((element) => {
    if (typeof element === 'string') {
      if (element.isWellFormed()) return encoder.encode(element);
      throw invalidArgument(
        'An element of a string tensor has a lone surrogate, which UTF-8 can not hold. Give bytes.',
      );
    }
    if (isBytes(element)) return element as Uint8Array;
    throw invalidArgument(`An element of a string tensor is a string or a Uint8Array, given a ${typeof element}.`);
  });
}

function isArrayBuffer(value: unknown): value is ArrayBufferLike {
  const kind = Object.prototype.toString.call(value);
  return kind === '[object ArrayBuffer]' || kind === '[object SharedArrayBuffer]';
}
