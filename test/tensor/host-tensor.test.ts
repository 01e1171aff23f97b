import { describe, expect, it } from 'vitest';
import { HostTensor, type HostTensorInit, isHostTensor, toHostTensor } from '../../src/tensor/host-tensor.ts';

it('refuses a string that UTF-8 can not hold', () => {
  expect(() => new HostTensor({ dtype: 'string', shape: [1], data: ['\ud800'] })).toThrow(/lone surrogate/);
});

it.each([[1n], [Symbol('float')], [{}], [null]])('refuses %s for a dtype', (dtype) => {
  const init = { dtype: dtype as unknown as 'float32', shape: [1], data: new Float32Array(1) };
  for (const make of [() => new HostTensor(init), () => HostTensor.allocate(init)]) {
    expect(make).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  }
});

describe('HostTensor', () => {
  it('wraps the caller’s memory and shows it typed', () => {
    const data = Float32Array.of(1, 2, 3, 4);
    const tensor = new HostTensor({ dtype: 'float32', shape: [2, 2], data });
    expect(tensor.data).toBe(data);
    tensor.bytes.fill(0);
    expect([...data]).toEqual([0, 0, 0, 0]);
    expect(tensor.byteLength).toBe(16);
  });

  it('shows raw bytes as the dtype’s typed array', () => {
    const buffer = new ArrayBuffer(16);
    expect(new HostTensor({ dtype: 'int64', shape: [2], data: buffer }).data).toBeInstanceOf(BigInt64Array);
    expect(new HostTensor({ dtype: 'bfloat16', shape: [8], data: buffer }).data).toBeInstanceOf(Uint16Array);
    expect(new HostTensor({ dtype: 'complex64', shape: [2], data: new Uint8Array(buffer) }).data).toHaveLength(4);
    expect(new HostTensor({ dtype: 'bool', shape: [16], data: Buffer.from(buffer) }).data).toHaveLength(16);
    expect(new HostTensor({ dtype: 'float8_e5m2', shape: [], data: new Uint8Array(1) }).byteLength).toBe(1);
  });

  it('keeps string elements, and the caller’s array of them', () => {
    const elements = [Uint8Array.of(1), Uint8Array.of(2, 3)];
    const tensor = new HostTensor({ dtype: 'string', shape: [2], data: elements });
    expect(tensor.data).toBe(elements);
    expect(tensor.byteLength).toBe(3);
    tensor.assign({ dtype: 'string', shape: [2], data: ['é', ''] });
    expect(elements.map((e) => [...e])).toEqual([[0xc3, 0xa9], []]);
    expect(() => tensor.bytes).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  it('allocates zeroed memory', () => {
    const tensor = HostTensor.allocate({ dtype: 'float64', shape: [3, 5] });
    expect(tensor.data).toHaveLength(15);
    expect(tensor.bytes.every((byte) => byte === 0)).toBe(true);
    expect(HostTensor.allocate({ dtype: 'int8', shape: [0] }).byteLength).toBe(0);
    expect(HostTensor.allocate({ dtype: 'string', shape: [2] }).data).toHaveLength(2);
  });

  it('does not follow the caller’s shape array', () => {
    const shape = [2];
    const tensor = new HostTensor({ dtype: 'int8', shape, data: new Int8Array(2) });
    shape[0] = 3;
    expect(tensor.shape).toEqual([2]);
    expect(Object.isFrozen(tensor.shape)).toBe(true);
  });

  it('assigns only what has the same dtype and shape', () => {
    const tensor = HostTensor.allocate({ dtype: 'int32', shape: [2] });
    tensor.assign({ dtype: 'int32', shape: [2], data: Int32Array.of(5, 6) });
    expect([...tensor.data]).toEqual([5, 6]);
    const other = { dtype: 'float32', shape: [2], data: new Float32Array(2) } as const;
    expect(() => tensor.assign(other)).toThrow(expect.objectContaining({ code: 'DTYPE_MISMATCH' }));
    const long = { dtype: 'int32', shape: [3], data: new Int32Array(3) } as const;
    expect(() => tensor.assign(long)).toThrow(expect.objectContaining({ code: 'SHAPE_MISMATCH' }));
  });

  it('is recognised by its brand, and made of a plain { dtype, shape, data }', () => {
    const tensor = toHostTensor({ dtype: 'uint8', shape: [], data: new Uint8Array(1) });
    expect(isHostTensor(tensor)).toBe(true);
    expect(toHostTensor(tensor)).toBe(tensor);
    expect(isHostTensor({ dtype: 'uint8', shape: [], data: new Uint8Array(1) })).toBe(false);
  });

  const bad: Array<[string, unknown]> = [
    ['no init', undefined],
    ['an unknown dtype', { dtype: 'float', shape: [1], data: new Float32Array(1) }],
    ['variant', { dtype: 'variant', shape: [], data: new Uint8Array(0) }],
    ['a wrong length', { dtype: 'float32', shape: [3], data: new Float32Array(2) }],
    ['another typed array', { dtype: 'float32', shape: [1], data: new Int32Array(1) }],
    ['misaligned bytes', { dtype: 'float32', shape: [1], data: new Uint8Array(9).subarray(1, 5) }],
    [
      'a resizable buffer',
      { dtype: 'int8', shape: [1], data: Reflect.construct(ArrayBuffer, [1, { maxByteLength: 2 }]) },
    ],
    ['a negative dimension', { dtype: 'int8', shape: [-1], data: new Int8Array(1) }],
    ['a fraction', { dtype: 'int8', shape: [1.5], data: new Int8Array(1) }],
    ['too many dimensions', { dtype: 'int8', shape: new Array(255).fill(1), data: new Int8Array(1) }],
    ['an overflowing shape', { dtype: 'int8', shape: [2 ** 40, 2 ** 40, 0], data: new Int8Array(0) }],
    ['an array of numbers', { dtype: 'float32', shape: [1], data: [1] }],
    ['strings that are numbers', { dtype: 'string', shape: [1], data: [1] }],
    ['too few strings', { dtype: 'string', shape: [2], data: ['a'] }],
  ];
  it.each(bad)('refuses %s', (_, init) => {
    expect(() => new HostTensor(init as HostTensorInit)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
