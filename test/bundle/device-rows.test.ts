import { describe, expect, test } from 'vitest';
import { DeviceRows } from '../../src/bundle/device-rows.ts';
import { LoadBuilder } from '../../src/bundle/load-builder.ts';
import { ExtentKind, NO_BUFFER, NO_STREAM } from '../../src/native/contract.ts';
import { ONE_TURN, resultOf } from '../../src/steps.ts';
import type { DeviceMemory } from '../../src/tensor/source.ts';

function memory(init: Partial<DeviceMemory> = {}): DeviceMemory {
  return { kind: 'device', pointer: 0x7f00_0000_0000n, device: 0, byteLength: 1024, ...init };
}

describe('rows of devices', () => {
  test('tensors of one device and stream share a row', () => {
    const rows = new DeviceRows();
    expect(rows.add(memory(), { key: 'a' })).toBe(0);
    expect(rows.add(memory({ stream: 5n }), { key: 'b' })).toBe(1);
    expect(rows.add(memory({ stream: 5 }), { key: 'c' })).toBe(1);
    expect(rows.add(memory({ device: 1 }), { key: 'd' })).toBe(2);
    expect(rows.add(memory({ stream: 0 }), { key: 'e' })).toBe(3);
    expect(rows.fields().devices).toEqual({
      ordinal: Uint32Array.of(0, 0, 1, 0),
      stream: Float64Array.of(NO_STREAM, 5, NO_STREAM, 0),
    });
  });

  test('owners are kept, each once', () => {
    const rows = new DeviceRows();
    const owner = {};
    rows.add(memory({ owner }), { key: 'a' });
    rows.add(memory({ owner }), { key: 'b' });
    expect(rows.fields().owners).toEqual([owner]);
  });

  test('a program without device memory has no table', () => {
    expect(new DeviceRows().fields()).toEqual({});
  });

  test.each([
    ['a device that is no number', { device: 'gpu' as unknown as number }],
    ['a negative device', { device: -1 }],
    ['a stream beyond 2^53', { stream: 2n ** 60n }],
    ['a negative stream', { stream: -1n }],
  ])('%s is refused, naming the key', (_, init) => {
    expect(() => new DeviceRows().add(memory(init), { key: 'layer/kernel' })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', key: 'layer/kernel' }),
    );
  });
});

describe('a load program', () => {
  test('reads into device memory, host memory and nowhere', () => {
    const builder = new LoadBuilder();
    const host = new Uint8Array(8);
    builder.tensor({ key: 'a' }, 1);
    builder.extent('/d', 0, 100, memory({ stream: 9n }), 24);
    builder.tensor({ key: 'b' }, 2);
    builder.extent('/d', 100, 8, host);
    builder.tensor({ key: 'c' }, 3);
    builder.extent('/d', 108, 8, null);
    const { extents, devices, buffers } = resultOf(builder.build(ONE_TURN, { deviceChecksum: true }));
    expect([...extents.kind!]).toEqual([ExtentKind.cudaDevice, ExtentKind.jsMemory, ExtentKind.jsMemory]);
    expect([...extents.buffer]).toEqual([0, 0, NO_BUFFER]);
    expect([...extents.target]).toEqual([0x7f00_0000_0018, 0, 0]);
    expect(devices).toEqual({ ordinal: Uint32Array.of(0), stream: Float64Array.of(9) });
    expect(buffers).toEqual([host.buffer]);
  });
});
