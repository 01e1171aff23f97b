import { VARIABLE_VALUE } from '../checkpoint/keys.ts';
import { TRACKABLE, type TrackableNode } from '../checkpoint/trackable.ts';
import { CheckpointError, describeValue, invalidArgument } from '../errors.ts';
import { allocateDevice, copyToDevice, copyToHost, giveDLPack, type HostRange, takeDLPack } from '../native/cuda.ts';
import { type DType, elementSize, isDType } from '../tensor/dtypes.ts';
import { HostTensor, type HostTensorInit, toHostTensor } from '../tensor/host-tensor.ts';
import { checkShape, describeShape, elementCount } from '../tensor/shape.ts';
import { DeviceAllocation } from './device-allocation.ts';
import { dlpackType, dtypeOfDLPack } from './dlpack.ts';
import { checkDevice, checkPointer, checkStream } from './pointers.ts';

/** What a tensor on a device is: see {@link DeviceTensor.allocate}. */
export interface DeviceTensorInit<D extends DType = DType> {
  /** TensorFlow's name of the element type; not `string`. */
  dtype: D;
  /** Dimensions; `[]` is a scalar. */
  shape: readonly number[];
  /**
   * Ordinal of the CUDA device.
   * @default 0
   */
  device?: number;
  /**
   * The stream (`CUstream`, `cudaStream_t`) on which the memory is used: a save and a restore wait for what it was given
   * to do until then, by an event. `0n` is the legacy default stream. Without it they wait for all of the device's work.
   */
  stream?: bigint;
}

/** Memory that somebody else allocated: see {@link DeviceTensor.fromPointer}. */
export interface DevicePointerInit<D extends DType = DType> extends DeviceTensorInit<D> {
  /** Address on the device (`CUdeviceptr`, or the pointer that cudaMalloc gives). */
  pointer: bigint;
  /** Bytes at that address: exactly those of dtype and shape. */
  byteLength: number;
  /**
   * Ordinal of the CUDA device. Without it, the device that the pointer belongs to; with it, another one is refused.
   */
  device?: number;
  /** Kept alive as long as this tensor, or a save or restore of it, uses the memory. */
  owner?: object;
}

const brand = Symbol.for('tensor-checkpoint.DeviceTensor');

/**
 * A tensor in the memory of a CUDA device. In a checkpoint it is what a HostTensor is: saved straight from the device,
 * restored into the same memory. It is freed by {@link free} or `using`; what was forgotten is freed when it is collected.
 *
 * @example
 * ```ts
 * const weights = await DeviceTensor.fromHost({ dtype: 'float32', shape: [2, 3], data: new Float32Array(6) });
 * const checkpoint = new Checkpoint({ weights });
 * ```
 */
export class DeviceTensor<D extends DType = DType> {
  readonly dtype: D;
  /** Dimensions, frozen; `[]` is a scalar. */
  readonly shape: readonly number[];
  /** Bytes of the elements. */
  readonly byteLength: number;
  /** Ordinal of the CUDA device. */
  readonly device: number;
  /** The stream on which the memory is used; undefined: unknown. */
  readonly stream: bigint | undefined;
  readonly #memory: DeviceAllocation;

  private constructor(dtype: D, shape: readonly number[], device: number, memory: DeviceAllocation, stream?: bigint) {
    this.dtype = dtype;
    this.shape = shape;
    this.byteLength = elementCount(shape) * elementSize(dtype);
    this.device = device;
    this.stream = stream;
    this.#memory = memory;
    Object.defineProperty(this, brand, { value: true });
  }

  /**
   * A tensor in new device memory. What it holds is undefined until something is written to it.
   *
   * @throws CheckpointError INVALID_ARGUMENT for a bad dtype, shape or device; CUDA_UNAVAILABLE without a driver or
   * device; CUDA_ERROR, with the driver's name in `errno`, if the driver refuses (CUDA_ERROR_OUT_OF_MEMORY).
   */
  static allocate<D extends DType>(init: DeviceTensorInit<D>): DeviceTensor<D> {
    const { dtype, shape, stream } = checkInit(init, 'allocate');
    const device = checkDevice(init.device ?? 0, 'allocate');
    const byteLength = elementCount(shape) * elementSize(dtype);
    // No memory is needed for nothing, and CUDA gives none.
    const { pointer, handle } =
      byteLength === 0 ? { pointer: 0n, handle: undefined } : allocateDevice(device, byteLength);
    const memory = new DeviceAllocation({ pointer, device, byteLength, stream }, handle, undefined);
    return new DeviceTensor(dtype, shape, device, memory, stream);
  }

  /**
   * A tensor in memory that somebody else allocated and frees. It must not be freed before this tensor, unless `owner`
   * sees to that: the memory is used until this tensor was freed and no save or restore of it is under way.
   *
   * @throws CheckpointError INVALID_ARGUMENT if the driver says that the pointer is not in device memory, of another
   * device than said, or that less than `byteLength` bytes are allocated there; or as {@link allocate}.
   */
  static fromPointer<D extends DType>(init: DevicePointerInit<D>): DeviceTensor<D> {
    const { dtype, shape, stream } = checkInit(init, 'fromPointer');
    const { pointer, owner } = init;
    const byteLength = elementCount(shape) * elementSize(dtype);
    if (init.byteLength !== byteLength) {
      throw invalidArgument(
        `fromPointer: ${dtype} of shape ${describeShape(shape)} has ${byteLength} bytes, given byteLength ` +
          `${describeValue(init.byteLength)}.`,
      );
    }
    if (owner !== undefined && (owner === null || (typeof owner !== 'object' && typeof owner !== 'function'))) {
      throw invalidArgument(`fromPointer: owner must be an object, not ${describeValue(owner)}.`);
    }
    const device = checkPointer(pointer, byteLength, init.device, 'fromPointer');
    const memory = new DeviceAllocation({ pointer, device, byteLength, stream }, undefined, owner);
    return new DeviceTensor(dtype, shape, device, memory, stream);
  }

  /**
   * A copy of a host tensor in new device memory. Resolves when it is there.
   *
   * @throws CheckpointError as {@link allocate}; UNSUPPORTED for strings.
   */
  static async fromHost<D extends DType>(
    tensor: HostTensor<D> | HostTensorInit<D>,
    device = 0,
  ): Promise<DeviceTensor<D>> {
    const host = toHostTensor(tensor) as HostTensor<D>;
    const copy = DeviceTensor.allocate({ dtype: host.dtype, shape: host.shape, device });
    try {
      await copy.#fill(host.memory);
      return copy;
    } catch (error) {
      copy.free();
      throw error;
    }
  }

  /**
   * Takes over the tensor in a DLPack External of another addon, with its deleter, which is called when this tensor was
   * freed and nothing uses the memory any more. **Nothing can check what an External points to**: it must be a
   * `DLManagedTensor*`, or with `versioned` a `DLManagedTensorVersioned*`, that nobody else has taken. Refused, it still
   * belongs to whoever made it.
   *
   * @param options.dtype another dtype of the same size: some libraries hand out bool as uint8
   * @throws CheckpointError INVALID_ARGUMENT: not on a CUDA device, not contiguous, taken before, read-only;
   * UNSUPPORTED: a type that no dtype corresponds to; or as {@link fromPointer}.
   */
  static fromDLPack(
    external: object,
    options: { versioned?: boolean; dtype?: DType; stream?: bigint } = {},
  ): DeviceTensor {
    const versioned = options.versioned ?? false;
    const stream = checkStream(options.stream, 'fromDLPack');
    const found = takeDLPack(external, versioned, false);
    const dtype = dtypeOfDLPack(found, options.dtype);
    const shape = checkShape(found.shape, elementSize(dtype));
    if (found.readOnly) {
      throw invalidArgument('fromDLPack: the tensor is read-only, and a restore would write to it. Hand out a copy.');
    }
    const byteLength = elementCount(shape) * elementSize(dtype);
    const device = checkPointer(found.pointer, byteLength, found.device, 'fromDLPack');
    const { handle } = takeDLPack(external, versioned, true);
    const memory = new DeviceAllocation({ pointer: found.pointer, device, byteLength, stream }, handle, undefined);
    return new DeviceTensor(dtype, shape, device, memory, stream);
  }

  /**
   * An External for another addon that takes DLPack: a `DLManagedTensor*`, or with `versioned` a
   * `DLManagedTensorVersioned*` (1.0). It has a share in the memory, which lives until its deleter was called, also when
   * this tensor is freed. Whoever takes it must call the deleter, on any thread; an External that nobody takes keeps the
   * memory for good (`DeviceTensor.fromDLPack(external).free()` gives it back).
   *
   * Of memory from {@link fromPointer} the `owner` is kept alive until then, or until the thread that made it ends.
   *
   * @throws CheckpointError UNSUPPORTED for memory from {@link fromPointer} without an `owner`: nothing could keep it
   * alive for whoever takes it; and for dtypes that DLPack has no type for.
   */
  toDLPack(options: { versioned?: boolean } = {}): object {
    const { handle, owner, range } = this.#memory;
    if (this.byteLength === 0) {
      throw new CheckpointError('UNSUPPORTED', 'A tensor without elements has no memory to hand out by DLPack.');
    }
    const keeper = handle ?? owner;
    if (keeper === undefined) {
      throw new CheckpointError(
        'UNSUPPORTED',
        'Memory from fromPointer() without an owner can not be handed out by DLPack: nothing would keep it alive for ' +
          'whoever takes it. Give fromPointer() the owner, or hand out a copy.',
      );
    }
    return giveDLPack(
      { keeper, isHandle: handle !== undefined },
      range,
      dlpackType(this.dtype),
      this.shape,
      options.versioned ?? false,
    );
  }

  /**
   * Address on the device.
   * @throws CheckpointError INVALID_ARGUMENT once it was freed.
   */
  get pointer(): bigint {
    return this.#memory.range.pointer;
  }

  get isFreed(): boolean {
    return this.#memory.isFreed;
  }

  /**
   * A copy in host memory, once the work on {@link stream} until now is done.
   *
   * @throws CheckpointError INVALID_ARGUMENT once it was freed; CUDA_ERROR if the driver fails.
   */
  async toHost(): Promise<HostTensor<D>> {
    const release = this.#memory.hold();
    try {
      const host = HostTensor.allocate({ dtype: this.dtype, shape: this.shape });
      if (this.byteLength > 0) await copyToHost(this.#memory.range, host.memory);
      return host;
    } finally {
      release();
    }
  }

  /**
   * Gives the memory back, once no save, restore or copy uses it any more. Memory of somebody else's is let go of. Every
   * use afterwards is INVALID_ARGUMENT; freeing again does nothing.
   */
  free(): void {
    this.#memory.free();
  }

  [Symbol.dispose](): void {
    this.free();
  }

  /** What it is in a checkpoint. Called by Checkpoint. */
  [TRACKABLE](): TrackableNode {
    const { dtype, shape } = this;
    const memory = this.#memory;
    return {
      identity: this,
      description: 'DeviceTensor',
      values: () => [
        {
          attribute: VARIABLE_VALUE,
          dtype,
          shape,
          capture: () => {
            const { range } = memory;
            return { source: { kind: 'device', ...range }, release: memory.hold() };
          },
          destination: {
            kind: 'device',
            ...memory.range,
            hold: () => memory.hold(),
            fill: (bytes) => this.#fill(bytes),
          },
        },
      ],
    };
  }

  async #fill(bytes: HostRange): Promise<void> {
    const release = this.#memory.hold();
    try {
      if (this.byteLength > 0) await copyToDevice(copyable(bytes), this.#memory.range);
    } finally {
      release();
    }
  }
}

/** Whether `value` is a DeviceTensor, of this copy of the package or of another one in the process. */
export function isDeviceTensor(value: unknown): value is DeviceTensor {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[brand] === true;
}

/** Native code can't hold on to shared memory. */
function copyable(bytes: HostRange): HostRange {
  if (Object.prototype.toString.call(bytes.buffer) !== '[object SharedArrayBuffer]') return bytes;
  const copy = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength).slice();
  return { buffer: copy.buffer, byteOffset: 0, byteLength: copy.byteLength };
}

function checkInit<D extends DType>(init: DeviceTensorInit<D>, what: string) {
  if (typeof init !== 'object' || init === null) {
    throw invalidArgument(
      `${what}: a DeviceTensor is made from an object with dtype and shape, given ${describeValue(init)}.`,
    );
  }
  if (!isDType(init.dtype)) throw invalidArgument(`${what}: unknown dtype ${describeValue(init.dtype)}.`);
  const dtype: D = init.dtype;
  if (elementSize(dtype) === 0) {
    throw new CheckpointError(
      'UNSUPPORTED',
      `${what}: tensors of dtype ${dtype} can't be on a device; use a HostTensor.`,
    );
  }
  return { dtype, shape: checkShape(init.shape, elementSize(dtype)), stream: checkStream(init.stream, what) };
}
