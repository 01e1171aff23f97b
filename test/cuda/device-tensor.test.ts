import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  cudaAvailable,
  cudaDevices,
  cudaUnavailableReason,
  DeviceTensor,
  isDeviceTensor,
} from '../../src/cuda/index.ts';
import { isCheckpointError } from '../../src/errors.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { alive, describeCuda, describeStandin, library, onRealGpu, STANDIN_DEVICES } from '../support/cuda.ts';

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (isCheckpointError(error)) return error.code;
    throw error;
  }
  return 'nothing thrown';
}

const values = Float32Array.from({ length: 6 }, (_, i) => i + 0.5);
const host = () => new HostTensor({ dtype: 'float32', shape: [2, 3], data: values.slice() });

describeCuda('CUDA devices', () => {
  test('are available, and described', () => {
    expect(cudaUnavailableReason()).toBeNull();
    expect(cudaAvailable()).toBe(true);
    const devices = cudaDevices();
    if (!onRealGpu) expect(devices).toHaveLength(STANDIN_DEVICES);
    for (const [i, device] of devices.entries()) {
      expect(device.ordinal).toBe(i);
      expect(device.name).not.toBe('');
      expect(device.totalMemory).toBeGreaterThan(2 ** 20);
      expect(device.pciBusId).toMatch(/^[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.0$/);
    }
  });
});

describeCuda('DeviceTensor', () => {
  beforeEach(() => {
    if (!onRealGpu) library.reset();
  });

  test('brings host tensors to the device and back, of any dtype, empty ones and scalars too', async () => {
    for (const tensor of [
      host(),
      new HostTensor({ dtype: 'int64', shape: [], data: BigInt64Array.of(-5n) }),
      new HostTensor({ dtype: 'bool', shape: [3], data: Uint8Array.of(1, 0, 1) }),
      new HostTensor({ dtype: 'bfloat16', shape: [0, 4], data: new Uint16Array(0) }),
      new HostTensor({ dtype: 'uint8', shape: [100_003], data: new Uint8Array(100_003).map((_, i) => i * 7) }),
    ]) {
      const device = await DeviceTensor.fromHost(tensor);
      expect(isDeviceTensor(device)).toBe(true);
      expect([device.dtype, device.shape, device.byteLength, device.device]).toEqual([
        tensor.dtype,
        tensor.shape,
        tensor.byteLength,
        0,
      ]);
      const back = await device.toHost();
      expect(Buffer.compare(back.bytes, tensor.bytes)).toBe(0);
      device.free();
    }
  });

  test('takes a plain { dtype, shape, data }, and memory that is shared', async () => {
    using plain = await DeviceTensor.fromHost({ dtype: 'float32', shape: [2, 3], data: values });
    expect((await plain.toHost()).data).toEqual(values);
    const shared = new Uint8Array(new SharedArrayBuffer(8)).fill(9);
    using other = await DeviceTensor.fromHost({ dtype: 'uint8', shape: [8], data: shared });
    expect((await other.toHost()).data).toEqual(new Uint8Array(8).fill(9));
  });

  test('allocates memory that others can write', async () => {
    using tensor = DeviceTensor.allocate({ dtype: 'float32', shape: [2, 3] });
    library.write(0, tensor.pointer, new Uint8Array(values.buffer));
    expect((await tensor.toHost()).data).toEqual(values);
  });

  test('has no memory once it was freed, and freeing again does nothing', async () => {
    const tensor = await DeviceTensor.fromHost(host());
    tensor.free();
    tensor.free();
    tensor[Symbol.dispose]();
    expect(tensor.isFreed).toBe(true);
    expect(codeOf(() => tensor.pointer)).toBe('INVALID_ARGUMENT');
    expect(codeOf(() => tensor.toDLPack())).toBe('INVALID_ARGUMENT');
    await expect(tensor.toHost()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('lives until a copy that is under way has ended', async () => {
    const tensor = await DeviceTensor.fromHost(host());
    const copy = tensor.toHost();
    tensor.free();
    expect((await copy).data).toEqual(values);
  });

  test('waits for the work on its stream, and without one for all work of the device', async () => {
    if (!onRealGpu) library.slowCopies(30_000, 0);
    const pinned = library.allocatePinned(24);
    const stream = library.makeStream(0, 1);
    const pointer = library.allocate(0, 24);
    for (const [i, given] of [stream, undefined].entries()) {
      const bytes = new Uint8Array(24).fill(i + 1);
      library.enqueueWrite(0, stream, pointer, bytes, pinned);
      const init = { pointer, byteLength: 24, dtype: 'uint8', shape: [24] } as const;
      using tensor = DeviceTensor.fromPointer(given === undefined ? init : { ...init, stream: given });
      expect((await tensor.toHost()).data).toEqual(bytes);
    }
    library.endStream(0, stream);
    library.free(0, pointer);
    library.freePinned(pinned);
  });

  test('refuses what it can not be made of', () => {
    const dtype = 'float32';
    expect(codeOf(() => DeviceTensor.allocate({ dtype: 'string', shape: [1] }))).toBe('UNSUPPORTED');
    expect(codeOf(() => DeviceTensor.allocate({ dtype: 'nonsense' as 'int8', shape: [1] }))).toBe('INVALID_ARGUMENT');
    expect(codeOf(() => DeviceTensor.allocate({ dtype, shape: [-1] }))).toBe('INVALID_ARGUMENT');
    expect(codeOf(() => DeviceTensor.allocate({ dtype, shape: [1], device: 99 }))).toBe('INVALID_ARGUMENT');
    expect(codeOf(() => DeviceTensor.allocate({ dtype, shape: [1], device: -1 }))).toBe('INVALID_ARGUMENT');
    expect(codeOf(() => DeviceTensor.allocate({ dtype, shape: [1], stream: 5 as unknown as bigint }))).toBe(
      'INVALID_ARGUMENT',
    );
    expect(codeOf(() => DeviceTensor.allocate(undefined as unknown as { dtype: 'int8'; shape: [] }))).toBe(
      'INVALID_ARGUMENT',
    );
  });

  test('says by name when the device has not enough memory', () => {
    try {
      DeviceTensor.allocate({ dtype: 'uint8', shape: [2 ** 45] });
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: 'CUDA_ERROR', errno: 'CUDA_ERROR_OUT_OF_MEMORY', syscall: 'cuMemAlloc' });
      expect((error as Error).message).toMatch(/35184372088832 bytes on device 0/);
    }
  });
});

describeCuda('DeviceTensor.fromPointer', () => {
  let pointer: bigint;
  beforeEach(() => {
    pointer = library.allocate(0, 64);
  });
  afterEach(() => {
    library.free(0, pointer);
  });
  const make = (init: Partial<Parameters<typeof DeviceTensor.fromPointer>[0]>) => () =>
    DeviceTensor.fromPointer({ pointer, byteLength: 64, dtype: 'float32', shape: [16], ...init });

  test('wraps memory of others, in the middle of an allocation too, and finds its device', async () => {
    library.write(
      0,
      pointer,
      new Uint8Array(64).map((_, i) => i),
    );
    using tensor = DeviceTensor.fromPointer({ pointer: pointer + 8n, byteLength: 4, dtype: 'uint8', shape: [4] });
    expect(tensor.device).toBe(0);
    expect(tensor.pointer).toBe(pointer + 8n);
    expect((await tensor.toHost()).data).toEqual(Uint8Array.of(8, 9, 10, 11));
  });

  test('never frees it', async () => {
    make({})().free();
    library.write(0, pointer, new Uint8Array(64));
  });

  test('refuses a range that is longer than the allocation', () => {
    expect(make({ byteLength: 68, shape: [17] })).toThrow(/only 64 bytes are allocated at 0x/);
    expect(make({ pointer: pointer + 4n })).toThrow(/only 60 bytes are allocated/);
  });

  test('refuses host memory and memory that CUDA does not know', () => {
    const pinned = library.allocatePinned(64);
    expect(make({ pointer: pinned })).toThrow(/is host memory/);
    library.freePinned(pinned);
    expect(make({ pointer: 0x1000n })).toThrow(/not memory that the CUDA driver knows/);
    const gone = library.allocate(0, 64);
    library.free(0, gone);
    expect(make({ pointer: gone })).toThrow(/not memory that the CUDA driver knows/);
  });

  test('refuses arguments that do not fit together', () => {
    expect(make({ byteLength: 60 })).toThrow(/float32 of shape \[16\] has 64 bytes, given byteLength 60/);
    expect(codeOf(make({ pointer: 5 as unknown as bigint }))).toBe('INVALID_ARGUMENT');
    expect(codeOf(make({ pointer: -1n }))).toBe('INVALID_ARGUMENT');
    expect(codeOf(make({ pointer: 2n ** 60n }))).toBe('INVALID_ARGUMENT');
    expect(codeOf(make({ owner: 5 as unknown as object }))).toBe('INVALID_ARGUMENT');
    expect(codeOf(make({ device: 1.5 }))).toBe('INVALID_ARGUMENT');
  });

  test('can not be handed out by DLPack', () => {
    expect(codeOf(() => make({})().toDLPack())).toBe('UNSUPPORTED');
  });
});

describeStandin('DeviceTensor on several devices', () => {
  test('keeps to its device, and refuses a pointer of another one', async () => {
    const first = await DeviceTensor.fromHost(host(), 0);
    const second = await DeviceTensor.fromHost(host(), 1);
    expect([first.device, second.device]).toEqual([0, 1]);
    expect((await second.toHost()).data).toEqual(values);
    expect(() =>
      DeviceTensor.fromPointer({ pointer: second.pointer, byteLength: 24, dtype: 'float32', shape: [6], device: 0 }),
    ).toThrow(/is memory of device 1, not of device 0/);
    using found = DeviceTensor.fromPointer({ pointer: second.pointer, byteLength: 24, dtype: 'float32', shape: [6] });
    expect(found.device).toBe(1);
    first.free();
    second.free();
  });
});

describeStandin('DeviceTensor and a driver that fails', () => {
  beforeEach(() => library.reset());
  afterEach(() => library.reset());

  test.each([
    ['cuMemAlloc_v2', 'cuMemAlloc', 2, 'CUDA_ERROR_OUT_OF_MEMORY'],
    ['cuStreamCreate', 'cuStreamCreate', 2, 'CUDA_ERROR_OUT_OF_MEMORY'],
    ['cuCtxPushCurrent_v2', 'cuCtxPushCurrent', 201, 'CUDA_ERROR_INVALID_CONTEXT'],
    ['cuMemcpyHtoDAsync_v2', 'cuMemcpyHtoDAsync', 700, 'CUDA_ERROR_ILLEGAL_ADDRESS'],
    ['cuCtxSynchronize', 'cuCtxSynchronize', 719, 'CUDA_ERROR_LAUNCH_FAILED'],
    ['cuStreamSynchronize', 'cuStreamSynchronize', 214, 'CUDA_ERROR_ECC_UNCORRECTABLE'],
  ])('a failure of %s is CUDA_ERROR with its name, and nothing leaks', async (symbol, syscall, code, errno) => {
    const before = await settled();
    library.fail(symbol, 1, code, 0);
    await expect(DeviceTensor.fromHost(host())).rejects.toMatchObject({ code: 'CUDA_ERROR', errno, syscall });
    await expect.poll(alive).toEqual(before);
    using again = await DeviceTensor.fromHost(host());
    expect((await again.toHost()).data).toEqual(values);
  });

  test('a copy that fails while it runs is reported, and the memory is given back', async () => {
    const tensor = await DeviceTensor.fromHost(host());
    library.fail('cuMemcpyDtoHAsync_v2', 1, 700, 2);
    await expect(tensor.toHost()).rejects.toMatchObject({ code: 'CUDA_ERROR', errno: 'CUDA_ERROR_ILLEGAL_ADDRESS' });
    library.reset();
    tensor.free();
  });

  test('memory that is still being freed is waited for before an allocation fails', async () => {
    const half = 2 ** 27 + 2 ** 20;
    // Often: the memory may become free at any moment of the next allocation.
    for (let i = 0; i < 20; i++) DeviceTensor.allocate({ dtype: 'uint8', shape: [half], device: 1 }).free();
  });
});

describeStandin('DeviceTensor memory', () => {
  test('is given back when a tensor that was forgotten is collected', async () => {
    const before = await settled();
    const tensors = await Promise.all(Array.from({ length: 8 }, () => DeviceTensor.fromHost(host())));
    expect(alive().deviceAllocations).toBe(before.deviceAllocations + 8);
    tensors.length = 0;
    const { setFlagsFromString } = await import('node:v8');
    const { runInNewContext } = await import('node:vm');
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    for (let i = 0; i < 50 && alive().deviceAllocations > before.deviceAllocations; i++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(alive()).toEqual(before);
  });
});

/** What is alive once memory that is being freed on other threads is gone, with all there that comes to stay. */
async function settled() {
  (await DeviceTensor.fromHost(host())).free();
  await expect.poll(() => alive().deviceAllocations).toBe(0);
  return alive();
}
