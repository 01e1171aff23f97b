import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { DeviceTensor } from '../../src/cuda/index.ts';
import { CheckpointManager, loadCheckpoint, verifyCheckpoint } from '../../src/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { describeCuda, describeStandin, library, onRealGpu } from '../support/cuda.ts';
import { testDirectories } from '../support/directory.ts';
import { describeWithOracle, runOracle } from '../support/oracle.ts';
import { deviceState, digest, digestsOf, otherState, pattern, patternTensor, readAll } from './states.ts';

const directory = testDirectories();

describeCuda('a checkpoint of device tensors', () => {
  beforeEach(() => {
    if (!onRealGpu) library.reset();
  });

  test('holds their bytes, byte for byte what host tensors would give', async () => {
    const state = await deviceState(1);
    const path = directory();
    const prefix = await new Checkpoint(state.tensors).save(join(path, 'device'));
    const same = await new Checkpoint(state.host).save(join(path, 'host'));
    expect((await verifyCheckpoint(prefix)).ok).toBe(true);
    const [device, host] = [await loadCheckpoint(prefix), await loadCheckpoint(same)];
    for (const [name, { crc32c, byteLength }] of host.variables) {
      expect(device.variables.get(name)).toMatchObject({ crc32c, byteLength });
    }
    for (const [name, tensor] of Object.entries(state.host)) {
      const read = await device.getTensor(`${name}/.ATTRIBUTES/VARIABLE_VALUE`);
      expect(digest(read.bytes)).toBe(digest(tensor.bytes));
    }
    await device.close();
    await host.close();
    state.free();
  });

  test.each([undefined, true, false])('restores into the same memory (atomic: %s)', async (atomic) => {
    const state = await deviceState(2);
    const prefix = await new Checkpoint(state.tensors).save(join(directory(), 'ckpt'));
    const fresh = await otherState(2);
    const pointers = Object.values(fresh.tensors).map(({ pointer }) => pointer);
    const status = await new Checkpoint(fresh.tensors).restore(prefix, atomic === undefined ? {} : { atomic });
    status.assertConsumed();
    expect(await readAll(fresh.tensors)).toEqual(digestsOf(state.host));
    expect(Object.values(fresh.tensors).map(({ pointer }) => pointer)).toEqual(pointers);
    state.free();
    fresh.free();
  });

  test('is interchangeable with one of host tensors', async () => {
    const state = await deviceState(3);
    const path = directory();
    const fromDevice = await new Checkpoint(state.tensors).save(join(path, 'device'));
    const host = Object.fromEntries(
      Object.entries(state.host).map(([name, { dtype, shape }]) => [name, HostTensor.allocate({ dtype, shape })]),
    );
    (await new Checkpoint(host).restore(fromDevice)).assertConsumed();
    expect(digestsOf(host)).toEqual(digestsOf(state.host));
    const fromHost = await new Checkpoint(host).save(join(path, 'host'));
    const fresh = await otherState(3);
    (await new Checkpoint(fresh.tensors).restore(fromHost)).assertConsumed();
    expect(await readAll(fresh.tensors)).toEqual(digestsOf(state.host));
    state.free();
    fresh.free();
  });

  test('may be saved again and again, with host tensors beside them, in several shards', async () => {
    const state = await deviceState(4);
    const beside = patternTensor('float32', [300_000], 9);
    const checkpoint = new Checkpoint({ ...state.tensors, beside });
    const path = directory();
    for (const [i, options] of [
      {},
      { shards: 3 },
      { snapshot: 'copy' as const },
      { stagingBytes: 2 ** 20 },
    ].entries()) {
      const prefix = await checkpoint.write(join(path, `ckpt-${i}`), options);
      expect((await verifyCheckpoint(prefix)).ok).toBe(true);
      const reader = await loadCheckpoint(prefix);
      for (const [name, tensor] of Object.entries({ ...state.host, beside })) {
        expect(digest((await reader.getTensor(`${name}/.ATTRIBUTES/VARIABLE_VALUE`)).bytes)).toBe(digest(tensor.bytes));
      }
      await reader.close();
    }
    state.free();
  });

  test('a manager saves, numbers and restores them', async () => {
    const path = directory();
    const state = await deviceState(5);
    const manager = new CheckpointManager(new Checkpoint(state.tensors), { directory: path, maxToKeep: 2 });
    for (let i = 0; i < 3; i++) await manager.save();
    expect(manager.checkpoints.map((prefix) => prefix.slice(path.length + 1))).toEqual(['ckpt-2', 'ckpt-3']);
    await manager.close();
    const fresh = await otherState(5);
    const reopened = new CheckpointManager(new Checkpoint(fresh.tensors), { directory: path, maxToKeep: 2 });
    expect(await reopened.restoreOrInitialize()).toBe(join(path, 'ckpt-3'));
    expect(await readAll(fresh.tensors)).toEqual(digestsOf(state.host));
    await reopened.close();
    state.free();
    fresh.free();
  });

  test('mismatches are told before anything is changed', async () => {
    using saved = await DeviceTensor.fromHost(patternTensor('float32', [10], 1));
    const prefix = await new Checkpoint({ saved }).save(join(directory(), 'ckpt'));
    const before = patternTensor('float32', [11], 2);
    using longer = await DeviceTensor.fromHost(before);
    using other = await DeviceTensor.fromHost(patternTensor('int32', [10], 2));
    await expect(new Checkpoint({ saved: longer }).restore(prefix)).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
    await expect(new Checkpoint({ saved: other }).restore(prefix)).rejects.toMatchObject({ code: 'DTYPE_MISMATCH' });
    expect((await longer.toHost()).bytes).toEqual(before.bytes);
  });

  test('what was freed can neither be saved nor restored', async () => {
    const tensor = await DeviceTensor.fromHost(patternTensor('float32', [10], 1));
    const checkpoint = new Checkpoint({ tensor });
    const prefix = await checkpoint.save(join(directory(), 'ckpt'));
    tensor.free();
    await expect(checkpoint.save(join(directory(), 'ckpt'))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(checkpoint.restore(prefix)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describeCuda('while a save runs', () => {
  test('a tensor may be freed: its memory lives until the save has read it', async () => {
    if (!onRealGpu) library.slowCopies(2000, 0);
    const state = await deviceState(6);
    const saved = new Checkpoint(state.tensors).save(join(directory(), 'ckpt'));
    state.free();
    const prefix = await saved;
    const reader = await loadCheckpoint(prefix);
    for (const [name, tensor] of Object.entries(state.host)) {
      expect(digest((await reader.getTensor(`${name}/.ATTRIBUTES/VARIABLE_VALUE`)).bytes)).toBe(digest(tensor.bytes));
    }
    await reader.close();
    if (!onRealGpu) library.reset();
  });

  test('once captured the memory may be overwritten', async () => {
    if (!onRealGpu) library.slowCopies(500, 0);
    const path = directory();
    const state = await deviceState(7);
    const manager = new CheckpointManager(new Checkpoint(state.tensors), { directory: path, maxToKeep: null });
    for (let i = 0; i < 3; i++) {
      const prefix = await manager.save({ enableAsync: true });
      // Training goes on: nothing of it may get into the checkpoint.
      for (const { device, pointer, byteLength } of Object.values(state.tensors)) {
        if (byteLength > 0) library.write(device, pointer, pattern(byteLength, 99 + i));
      }
      await manager.sync();
      expect((await verifyCheckpoint(prefix!)).ok).toBe(true);
      const reader = await loadCheckpoint(prefix!);
      for (const [name, tensor] of Object.entries(state.host)) {
        const read = await reader.getTensor(`${name}/.ATTRIBUTES/VARIABLE_VALUE`);
        const expected = i === 0 ? tensor.bytes : pattern(tensor.byteLength, 98 + i);
        expect(digest(read.bytes)).toBe(digest(expected));
      }
      await reader.close();
    }
    await manager.close();
    state.free();
    if (!onRealGpu) library.reset();
  });

  test('an abort leaves the previous checkpoint, and nothing of its own', async () => {
    if (!onRealGpu) library.slowCopies(20_000, 0);
    const path = directory();
    const state = await deviceState(8);
    const manager = new CheckpointManager(new Checkpoint(state.tensors), { directory: path, maxToKeep: null });
    const first = await manager.save();
    const controller = new AbortController();
    const second = manager.save({ signal: controller.signal });
    setImmediate(() => controller.abort());
    await second.then(
      () => {}, // It was faster.
      (error) => {
        expect(error).toMatchObject({ code: 'ABORTED' });
        expect(manager.latestCheckpoint).toBe(first);
      },
    );
    expect((await verifyCheckpoint(manager.latestCheckpoint!)).ok).toBe(true);
    await manager.close();
    state.free();
    if (!onRealGpu) library.reset();
  });
});

describeCuda('the training stream', () => {
  test('work that was given to it before a save is in the checkpoint, given a stream or none', async () => {
    if (!onRealGpu) library.slowCopies(30_000, 0);
    const bytes = 1_000_000;
    const pinned = library.allocatePinned(bytes);
    const stream = library.makeStream(0, 1);
    const pointer = library.allocate(0, bytes);
    library.write(0, pointer, new Uint8Array(bytes));
    for (const [i, known] of [{ stream }, {}].entries()) {
      using tensor = DeviceTensor.fromPointer({ pointer, byteLength: bytes, dtype: 'uint8', shape: [bytes], ...known });
      const checkpoint = new Checkpoint({ tensor });
      const written = pattern(bytes, 50 + i);
      library.enqueueWrite(0, stream, pointer, written, pinned);
      const prefix = await checkpoint.save(join(directory(), 'ckpt'));
      const reader = await loadCheckpoint(prefix);
      expect(digest((await reader.getTensor('tensor/.ATTRIBUTES/VARIABLE_VALUE')).bytes)).toBe(digest(written));
      await reader.close();
      // And a restore waits for what still writes to its target.
      library.enqueueWrite(0, stream, pointer, pattern(bytes, 60), pinned);
      await checkpoint.restore(prefix);
      expect(digest(library.read(0, pointer, bytes))).toBe(digest(written));
    }
    library.endStream(0, stream);
    library.free(0, pointer);
    library.freePinned(pinned);
    if (!onRealGpu) library.reset();
  });
});

describeStandin('several devices', () => {
  test('are saved into one checkpoint, and restored each to its own', async () => {
    library.reset();
    const first = await deviceState(10, 0);
    const second = await deviceState(11, 1);
    const prefix = await new Checkpoint({ first: first.tensors, second: second.tensors }).save(
      join(directory(), 'ckpt'),
    );
    const [freshFirst, freshSecond] = [await otherState(10, 0), await otherState(11, 1)];
    const status = await new Checkpoint({ first: freshFirst.tensors, second: freshSecond.tensors }).restore(prefix);
    status.assertConsumed();
    expect(await readAll(freshFirst.tensors)).toEqual(digestsOf(first.host));
    expect(await readAll(freshSecond.tensors)).toEqual(digestsOf(second.host));
    for (const state of [first, second, freshFirst, freshSecond]) state.free();
  });
});

describeWithOracle('TensorFlow', () => {
  describeCuda('reading a checkpoint of device tensors', () => {
    test('finds the bytes that the device had', async () => {
      const state = await deviceState(12);
      const prefix = await new Checkpoint(state.tensors).save(join(directory(), 'ckpt'));
      const program = [
        'import sys, json, hashlib, tensorflow as tf',
        'reader = tf.train.load_checkpoint(sys.argv[1])',
        'names = [n for n in reader.get_variable_to_shape_map() if n.endswith("VARIABLE_VALUE") and n.startswith("t")]',
        'print(json.dumps({n.split("/")[0]: hashlib.sha256(reader.get_tensor(n).tobytes()).hexdigest() for n in names}))',
      ].join('\n');
      const { createHash } = await import('node:crypto');
      const read = JSON.parse(await runOracle(program, { args: [prefix] })) as Record<string, string>;
      const expected = Object.entries(state.host).map(([name, { bytes }]) => [
        name,
        createHash('sha256').update(bytes).digest('hex'),
      ]);
      expect(read).toEqual(Object.fromEntries(expected));
      state.free();
    });
  });
});
