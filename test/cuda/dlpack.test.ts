import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DeviceTensor } from '../../src/cuda/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { alive, describeCuda, describeStandin, library, type MadeDLPack } from '../support/cuda.ts';

const values = Float32Array.of(1, 2, 3, 4, 5, 6);

describeCuda('DeviceTensor.fromDLPack', () => {
  let pointer: bigint;
  beforeEach(() => {
    pointer = library.allocate(0, 24);
    library.write(0, pointer, new Uint8Array(values.buffer));
  });
  afterEach(() => library.free(0, pointer));
  const external = (init: Partial<MadeDLPack> = {}) => library.makeDLPack({ pointer, shape: [2, 3], ...init });

  test.each([false, true])(
    'takes a tensor over, and calls its deleter once when it is freed (versioned: %s)',
    async (versioned) => {
      const before = library.deletersCalled();
      const tensor = DeviceTensor.fromDLPack(external({ versioned }), { versioned });
      expect([tensor.dtype, tensor.shape, tensor.device, tensor.pointer]).toEqual(['float32', [2, 3], 0, pointer]);
      const copy = tensor.toHost();
      tensor.free();
      expect(library.deletersCalled()).toBe(before);
      expect((await copy).data).toEqual(values);
      tensor.free();
      expect(library.deletersCalled()).toBe(before + 1);
    },
  );

  test('takes strides that are those of row-major order, whatever they are for dimensions of one element', () => {
    DeviceTensor.fromDLPack(external({ shape: [2, 1, 3], strides: [3, 77, 1] })).free();
    DeviceTensor.fromDLPack(external({ shape: [0, 3], strides: [9, 9] })).free();
  });

  test('reads from the byte offset', async () => {
    using tensor = DeviceTensor.fromDLPack(external({ shape: [2], byteOffset: 8 }));
    expect((await tensor.toHost()).data).toEqual(Float32Array.of(3, 4));
  });

  test('sees bytes as another dtype of the same size when asked to', () => {
    using tensor = DeviceTensor.fromDLPack(external({ shape: [24], code: 1, bits: 8 }), { dtype: 'bool' });
    expect(tensor.dtype).toBe('bool');
    const refused = external({ shape: [24], code: 1, bits: 8 });
    expect(() => DeviceTensor.fromDLPack(refused, { dtype: 'int32' })).toThrow(/another size/);
    library.deleteDLPack(refused, false);
  });

  test.each<[string, Partial<MadeDLPack>, RegExp]>([
    ['in host memory', { deviceType: 1 }, /type 1, not in CUDA device memory/],
    ['that is not contiguous', { strides: [1, 2] }, /not contiguous/],
    ['with a negative dimension', { shape: [-2, 3] }, /negative dimension/],
    ['with too many dimensions', { ndim: 1000 }, /1000 dimensions; is the External really/],
    ['with more than fits its memory', { shape: [7] }, /only 24 bytes/],
    ['on another device than it says', { device: 5 }, /of device 0, not of device 5/],
    ['of lanes', { lanes: 4 }, /no dtype for a DLPack tensor of type code 2, 32 bits, 4 lanes/],
    ['of an unknown type', { code: 3 }, /no dtype for/],
    ['that is read-only', { versioned: true, flags: 1 }, /read-only/],
    ['of another major version', { versioned: true, major: 2 }, /version 2 is not known here/],
  ])('refuses a tensor %s, which still belongs to its maker', (_, init, message) => {
    const before = library.deletersCalled();
    const given = external(init);
    expect(() => DeviceTensor.fromDLPack(given, { versioned: init.versioned ?? false })).toThrow(message);
    expect(library.deletersCalled()).toBe(before);
    library.deleteDLPack(given, init.versioned ?? false);
  });

  test('refuses a tensor that it has taken before, and what is no External', () => {
    const given = external();
    using tensor = DeviceTensor.fromDLPack(given);
    expect(() => DeviceTensor.fromDLPack(given)).toThrow(/taken over before/);
    expect(() => DeviceTensor.fromDLPack({})).toThrow(/wrong arguments/);
    expect(tensor.isFreed).toBe(false);
  });
});

describeCuda('DeviceTensor.toDLPack', () => {
  test.each([false, true])('hands out a share that outlives the tensor (versioned: %s)', async (versioned) => {
    const tensor = await DeviceTensor.fromHost({ dtype: 'float32', shape: [2, 3], data: values.slice() });
    const { pointer } = tensor;
    const given = tensor.toDLPack({ versioned });
    expect(library.readDLPack(given, versioned)).toEqual({
      pointer,
      deviceType: 2,
      device: 0,
      code: 2,
      bits: 32,
      shape: [2, 3],
    });
    tensor.free();
    expect(library.read(0, pointer, 24)).toEqual(new Uint8Array(values.buffer));
    library.deleteDLPack(given, versioned);
  });

  test('can be taken back', async () => {
    const tensor = await DeviceTensor.fromHost({ dtype: 'float32', shape: [2, 3], data: values.slice() });
    using taken = DeviceTensor.fromDLPack(tensor.toDLPack());
    tensor.free();
    expect((await taken.toHost()).data).toEqual(values);
  });

  test("hands out somebody else's memory where an owner keeps it alive, until the deleter was called", async () => {
    const pointer = library.allocate(0, 24);
    const init = { pointer, byteLength: 24, dtype: 'float32', shape: [6] } as const;
    using unowned = DeviceTensor.fromPointer(init);
    expect(() => unowned.toDLPack()).toThrow(/Give fromPointer\(\) the owner/);

    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    let isCollected = false;
    const registry = new FinalizationRegistry(() => {
      isCollected = true;
    });
    const given = (() => {
      const owner = {};
      registry.register(owner, undefined);
      const tensor = DeviceTensor.fromPointer({ ...init, owner });
      const external = tensor.toDLPack({ versioned: true });
      tensor.free();
      return external;
    })();
    expect(library.readDLPack(given, true).pointer).toBe(pointer);
    const collect = async () => {
      for (let turn = 0; turn < 5; turn++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        gc();
      }
    };
    await collect();
    expect(isCollected).toBe(false);
    library.deleteDLPack(given, true);
    await collect();
    expect(isCollected).toBe(true);
    library.free(0, pointer);
  });

  test('keeps every dtype that DLPack has', async () => {
    for (const dtype of [
      'int8',
      'int16',
      'int32',
      'int64',
      'uint8',
      'uint16',
      'uint32',
      'uint64',
      'float16',
      'float32',
      'float64',
      'bfloat16',
      'complex64',
      'complex128',
      'bool',
      'float8_e4m3fn',
      'float8_e5m2',
    ] as const) {
      const tensor = await DeviceTensor.fromHost(HostTensor.allocate({ dtype, shape: [3] }));
      using taken = DeviceTensor.fromDLPack(tensor.toDLPack());
      expect(taken.dtype).toBe(dtype);
      tensor.free();
    }
    using quantized = DeviceTensor.allocate({ dtype: 'qint8', shape: [3] });
    expect(() => quantized.toDLPack()).toThrow(/no type for qint8/);
  });
});

describeStandin('memory handed out by DLPack', () => {
  test('is freed when its last share has ended', async () => {
    await expect.poll(() => alive().deviceAllocations).toBe(0);
    const tensor = await DeviceTensor.fromHost({ dtype: 'float32', shape: [6], data: values.slice() });
    const first = tensor.toDLPack();
    const second = tensor.toDLPack({ versioned: true });
    tensor.free();
    library.deleteDLPack(first, false);
    expect(alive().deviceAllocations).toBe(1);
    library.deleteDLPack(second, true);
    await expect.poll(() => alive().deviceAllocations).toBe(0);
  });
});
