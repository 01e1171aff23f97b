import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DeviceTensor, releaseDeviceMemory, reserveSnapshotPool } from '../../src/cuda/index.ts';
import { Checkpoint, CheckpointManager, type ManagerWarning, verifyCheckpoint } from '../../src/index.ts';
import { alive, describeStandin, library, standinState } from '../support/cuda.ts';
import { filesIn, testDirectories } from '../support/directory.ts';
import { deviceState, digestsOf, otherState, readAll } from './states.ts';

const directory = testDirectories();
const ONCE = 0;
const LOST = 1;
const LATER = 2;

/** Driver functions that a save calls, and a code that each may give. */
const SAVE_FAILURES = [
  ['cuCtxPushCurrent_v2', 201, 'CUDA_ERROR_INVALID_CONTEXT'],
  ['cuCtxSynchronize', 719, 'CUDA_ERROR_LAUNCH_FAILED'],
  ['cuMemcpyDtoHAsync_v2', 1, 'CUDA_ERROR_INVALID_VALUE'],
  ['cuEventRecord', 400, 'CUDA_ERROR_INVALID_HANDLE'],
  ['cuEventSynchronize', 214, 'CUDA_ERROR_ECC_UNCORRECTABLE'],
  ['cuEventSynchronize', 700, 'CUDA_ERROR_ILLEGAL_ADDRESS'],
] as const;

const RESTORE_FAILURES = [
  ['cuCtxPushCurrent_v2', 201, 'CUDA_ERROR_INVALID_CONTEXT'],
  ['cuMemcpyHtoDAsync_v2', 1, 'CUDA_ERROR_INVALID_VALUE'],
  ['cuEventRecord', 400, 'CUDA_ERROR_INVALID_HANDLE'],
  ['cuEventSynchronize', 702, 'CUDA_ERROR_LAUNCH_TIMEOUT'],
] as const;

/** What is alive when nothing is kept for programs to come. */
async function settled() {
  await releaseDeviceMemory();
  // Events are kept as many as copies were once under way at a time, which varies.
  const { events, ...rest } = alive();
  expect(events).toBeLessThan(64);
  return rest;
}

describeStandin('a driver that fails', () => {
  let state: Awaited<ReturnType<typeof deviceState>>;
  beforeEach(async () => {
    library.reset();
    state = await deviceState(1);
  });
  afterEach(async () => {
    library.reset();
    state.free();
    await expect.poll(() => alive().deviceAllocations).toBe(0);
    expect(library.takeViolations()).toBe('');
  });

  test.each(SAVE_FAILURES)(
    '%s giving %i fails a save as %s; the checkpoint before stays',
    async (symbol, code, errno) => {
      const path = directory();
      const manager = new CheckpointManager(new Checkpoint(state.tensors), { directory: path, maxToKeep: null });
      const first = await manager.save();
      await settled();
      const files = filesIn(path);
      library.fail(symbol, 1, code, ONCE);
      await expect(manager.save()).rejects.toMatchObject({ code: 'CUDA_ERROR', errno });
      expect(filesIn(path)).toEqual(files);
      expect(manager.latestCheckpoint).toBe(first);
      expect((await verifyCheckpoint(first!)).ok).toBe(true);
      // The next save is whole, and makes no new device of the one that failed twice.
      const second = await manager.save();
      expect((await verifyCheckpoint(second!)).ok).toBe(true);
      const before = await settled();
      await manager.save();
      expect(await settled()).toEqual(before);
      await manager.close();
    },
  );

  test.each(RESTORE_FAILURES)('%s giving %i fails a restore as %s', async (symbol, code, errno) => {
    const prefix = await new Checkpoint(state.tensors).save(join(directory(), 'ckpt'));
    const fresh = await otherState(1);
    library.fail(symbol, 1, code, ONCE);
    await expect(new Checkpoint(fresh.tensors).restore(prefix)).rejects.toMatchObject({ code: 'CUDA_ERROR', errno });
    (await new Checkpoint(fresh.tensors).restore(prefix)).assertConsumed();
    expect(await readAll(fresh.tensors)).toEqual(digestsOf(state.host));
    fresh.free();
  });

  test('every call in turn may fail: the error has its name, nothing leaks, and the next save is whole', async () => {
    const path = directory();
    const checkpoint = new Checkpoint(state.tensors);
    const countCalls = async () => {
      await settled();
      const before = standinState().calls;
      await checkpoint.write(join(path, 'counted'));
      const after = standinState().calls;
      return Object.keys(after).map((symbol) => [symbol, (after[symbol] ?? 0) - (before[symbol] ?? 0)] as const);
    };
    await countCalls();
    // Those that only release can't fail a save.
    const releasing = /Destroy|Free|Pop|Release|Unregister|Describe|GetErrorName|StreamQuery|EventQuery/;
    const calls = (await countCalls()).filter(([symbol, count]) => count > 0 && !releasing.test(symbol));
    expect(calls.length).toBeGreaterThan(5);
    const baseline = await settled();
    for (const [symbol, count] of calls) {
      for (const nth of new Set([1, 2, Math.ceil(count / 2), count])) {
        if (nth > count) continue;
        const what = `${symbol} call ${nth} of ${count}`;
        const before = standinState().calls[symbol]!;
        library.fail(symbol, nth, 719, ONCE);
        const outcome = await checkpoint.write(join(path, 'ckpt')).then(
          () => 'saved',
          (error) => `${error.code} ${error.errno}`,
        );
        // How many calls a save takes depends on how its copies fall together.
        const hasFailed = standinState().calls[symbol]! - before >= nth;
        library.reset();
        // Memory that can't be locked is done without.
        expect(outcome, what).toMatch(/^(CUDA_ERROR CUDA_ERROR_LAUNCH_FAILED|saved)$/);
        if (hasFailed && outcome === 'saved')
          expect(symbol, what).toMatch(/MemHostAlloc|MemHostRegister|CtxPushCurrent/);
        const prefix = await checkpoint.write(join(path, 'ckpt'));
        expect((await verifyCheckpoint(prefix)).ok, what).toBe(true);
      }
    }
    // A device that failed was opened anew; nothing of the old one is left.
    expect(await settled()).toEqual(baseline);
  });

  test.each([
    ['cuMemcpyDtoHAsync_v2', 1],
    ['cuMemcpyDtoHAsync_v2', 2],
  ])('work of %s that fails while it runs fails the save, which ends', async (symbol, nth) => {
    const checkpoint = new Checkpoint(state.tensors);
    const path = directory();
    library.fail(symbol, nth, 700, LATER);
    await expect(checkpoint.save(join(path, 'ckpt'))).rejects.toMatchObject({
      code: 'CUDA_ERROR',
      errno: 'CUDA_ERROR_ILLEGAL_ADDRESS',
    });
    expect(filesIn(path)).toEqual([]);
  });

  test.each(['cuMemcpyDtoHAsync_v2', 'cuEventSynchronize', 'cuCtxPushCurrent_v2'])(
    'a device lost at %s fails the save and all that follow, without a hang',
    async (symbol) => {
      const path = directory();
      const manager = new CheckpointManager(new Checkpoint(state.tensors), { directory: path, maxToKeep: null });
      const first = await manager.save();
      library.fail(symbol, 1, 999, LOST);
      for (let i = 0; i < 2; i++) {
        await expect(manager.save()).rejects.toMatchObject({ code: 'CUDA_ERROR', errno: 'CUDA_ERROR_UNKNOWN' });
      }
      await expect(manager.checkpoint.restore(first)).rejects.toMatchObject({ code: 'CUDA_ERROR' });
      expect((await verifyCheckpoint(first!)).ok).toBe(true);
      library.reset();
      await manager.save();
      await manager.close();
    },
  );

  test('where no memory can be locked a save goes through ordinary memory, and says so', async () => {
    await settled();
    library.limitLocked(0);
    const warnings: string[] = [];
    const path = directory();
    const manager = new CheckpointManager(new Checkpoint(state.tensors), { directory: path, maxToKeep: null });
    manager.on('warning', (warning) => warnings.push(warning.message));
    const prefix = await manager.save();
    expect((await verifyCheckpoint(prefix!)).ok).toBe(true);
    expect(warnings.join()).toMatch(/could not be locked/);
    await manager.close();
  });

  test('so does a restore: once, and to the process where there is no manager', async () => {
    const path = directory();
    const options = { directory: path, maxToKeep: null, read: { stagingBytes: 2 ** 20, atomic: false } };
    const prefix = await new CheckpointManager(new Checkpoint(state.tensors), options).save();
    const fresh = await otherState(1);
    await settled();
    library.limitLocked(0);
    const manager = new CheckpointManager(new Checkpoint(fresh.tensors), { ...options, readOnly: true });
    const warnings: ManagerWarning[] = [];
    manager.on('warning', (warning) => warnings.push(warning));
    await manager.restoreOrInitialize();
    expect(warnings).toEqual([
      expect.objectContaining({ kind: 'unlocked', message: expect.stringMatching(/could not be locked/) }),
    ]);
    expect(await readAll(fresh.tensors)).toEqual(digestsOf(state.host));
    await manager.close();

    const heard: Error[] = [];
    const listener = (warning: Error) => heard.push(warning);
    process.on('warning', listener);
    (await new Checkpoint(fresh.tensors).restore(prefix)).assertConsumed();
    await expect.poll(() => heard.map(({ name }) => name)).toEqual(['CheckpointWarning']);
    process.off('warning', listener);
    fresh.free();
  });
});

describeStandin('the options of device saves', () => {
  beforeEach(() => library.reset());
  afterEach(() => library.reset());

  test.each([
    { snapshotPoolBytes: 64 * 2 ** 20 },
    { deviceShadow: true },
    { deviceChecksum: true },
    { snapshotPoolBytes: 64 * 2 ** 20, deviceShadow: true, deviceChecksum: true, shards: 2 },
  ])('%j: the same bytes, again and again', async (options) => {
    const state = await deviceState(3);
    const path = directory();
    const checkpoint = new Checkpoint(state.tensors);
    for (let i = 0; i < 2; i++) {
      const prefix = await checkpoint.write(join(path, `ckpt-${i}`), options);
      expect((await verifyCheckpoint(prefix)).ok).toBe(true);
      const fresh = await otherState(3);
      const { deviceChecksum } = options as { deviceChecksum?: boolean };
      (await new Checkpoint(fresh.tensors).read(prefix, { deviceChecksum })).assertConsumed();
      expect(await readAll(fresh.tensors)).toEqual(digestsOf(state.host));
      fresh.free();
    }
    state.free();
    await releaseDeviceMemory();
  });

  test('a snapshot pool that was reserved is used, and given back when asked to', async () => {
    await releaseDeviceMemory();
    const before = alive();
    await reserveSnapshotPool(32 * 2 ** 20);
    expect(alive().lockedBytes).toBeGreaterThanOrEqual(32 * 2 ** 20);
    const locked = alive().lockedBytes;
    const state = await deviceState(4);
    await new Checkpoint(state.tensors).save(join(directory(), 'ckpt'), { snapshotPoolBytes: 32 * 2 ** 20 });
    expect(alive().lockedBytes - locked).toBeLessThan(32 * 2 ** 20);
    state.free();
    await releaseDeviceMemory();
    expect(alive().lockedBytes).toBe(before.lockedBytes);
    await expect(reserveSnapshotPool(-1)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(reserveSnapshotPool(1, 99)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('there being no memory for a shadow, tensors are read directly, with a warning', async () => {
    using large = DeviceTensor.allocate({ dtype: 'uint8', shape: [150 * 2 ** 20] });
    const manager = new CheckpointManager(new Checkpoint({ large }), { directory: directory(), maxToKeep: null });
    const warnings: string[] = [];
    manager.on('warning', (warning) => warnings.push(warning.message));
    const prefix = await manager.save({ deviceShadow: true });
    expect((await verifyCheckpoint(prefix!)).ok).toBe(true);
    expect(warnings.join()).toMatch(/no device memory for a shadow copy/);
    await manager.close();
  });
});
