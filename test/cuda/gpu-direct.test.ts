import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { releaseDeviceMemory } from '../../src/cuda/index.ts';
import { Checkpoint, CheckpointManager, type ManagerWarning, verifyCheckpoint } from '../../src/index.ts';
import { alive, describeStandin, library, standinState } from '../support/cuda.ts';
import { filesIn, testDirectories } from '../support/directory.ts';
import { deviceState, digestsOf, otherState, readAll } from './states.ts';

const directory = testDirectories();
const ONCE = 0;
const EVERYTHING = Number.MAX_SAFE_INTEGER;
const CU_FILE_GPU_MEMORY_PINNING_FAILED = 5036;

/** How often bytes of devices have gone past the host. */
function transfers(): { reads: number; writes: number } {
  const { calls } = standinState();
  return { reads: calls.cuFileRead ?? 0, writes: calls.cuFileWrite ?? 0 };
}

describeStandin('gpuDirect', () => {
  let state: Awaited<ReturnType<typeof deviceState>>;
  beforeEach(async () => {
    library.reset();
    state = await deviceState(7);
  });
  afterEach(async () => {
    library.reset();
    state.free();
    await releaseDeviceMemory();
    await expect.poll(() => alive().deviceAllocations).toBe(0);
    expect(alive()).toMatchObject({ fileHandles: 0, fileBuffers: 0 });
    expect(library.takeViolations()).toBe('');
  });

  test.each([true, 'auto'] as const)('%s: the same bytes, past the host', async (gpuDirect) => {
    const before = transfers();
    const prefix = await new Checkpoint(state.tensors).save(join(directory(), 'ckpt'), { gpuDirect });
    expect((await verifyCheckpoint(prefix)).ok).toBe(true);
    expect(transfers().writes).toBeGreaterThan(before.writes);
    const fresh = await otherState(7);
    (await new Checkpoint(fresh.tensors).restore(prefix, { gpuDirect })).assertConsumed();
    expect(await readAll(fresh.tensors)).toEqual(digestsOf(state.host));
    expect(transfers().reads).toBeGreaterThan(before.reads);
    fresh.free();
  });

  test.each([
    { deviceShadow: true },
    { snapshotPoolBytes: 32 * 2 ** 20 },
    { deviceChecksum: true, shards: 3 },
    { enableAsync: true },
  ])('goes with %j', async (options) => {
    const checkpoint = new Checkpoint(state.tensors);
    const prefix = await checkpoint.save(join(directory(), 'ckpt'), { gpuDirect: true, ...options });
    await checkpoint.sync();
    expect((await verifyCheckpoint(prefix)).ok).toBe(true);
  });

  test('a file that it is not possible for fails what requires it, with the reason; nothing is left', async () => {
    const path = directory();
    const checkpoint = new Checkpoint(state.tensors);
    const prefix = await checkpoint.write(join(path, 'ckpt'));
    const files = filesIn(path);
    library.cufile('unsupported-file', EVERYTHING);
    const refused = { code: 'UNSUPPORTED', message: expect.stringMatching(/GPUDirect.*CU_FILE_IO_NOT_SUPPORTED/) };
    await expect(checkpoint.write(join(path, 'other'), { gpuDirect: true })).rejects.toMatchObject(refused);
    await expect(checkpoint.read(prefix, { gpuDirect: true })).rejects.toMatchObject(refused);
    expect(filesIn(path)).toEqual(files);
  });

  test("'auto': it is done without, and a warning of the manager has the reason, for saves and restores", async () => {
    library.cufile('unsupported-file', EVERYTHING);
    const warnings: ManagerWarning[] = [];
    const manager = new CheckpointManager(new Checkpoint(state.tensors), {
      directory: directory(),
      maxToKeep: null,
      write: { gpuDirect: 'auto' },
      read: { gpuDirect: 'auto' },
    });
    manager.on('warning', (warning) => warnings.push(warning));
    const reason = { kind: 'gpuDirect', message: expect.stringMatching(/CU_FILE_IO_NOT_SUPPORTED/) };
    const prefix = await manager.save();
    expect(warnings).toEqual([expect.objectContaining(reason)]);
    expect((await verifyCheckpoint(prefix!)).ok).toBe(true);
    await manager.restoreOrInitialize();
    expect(warnings).toEqual([expect.objectContaining(reason), expect.objectContaining(reason)]);
    expect(await readAll(state.tensors)).toEqual(digestsOf(state.host));
    await manager.close();
  });

  test('a failure of cuFile has its own name, and the save leaves nothing', async () => {
    const path = directory();
    await releaseDeviceMemory();
    library.fail('cuFileBufRegister', 1, CU_FILE_GPU_MEMORY_PINNING_FAILED, ONCE);
    await expect(new Checkpoint(state.tensors).save(join(path, 'ckpt'), { gpuDirect: true })).rejects.toMatchObject({
      code: 'CUDA_ERROR',
      errno: 'CU_FILE_GPU_MEMORY_PINNING_FAILED',
      syscall: 'cuFileBufRegister',
    });
    expect(filesIn(path)).toEqual([]);
  });

  test('is true, false or auto', async () => {
    const checkpoint = new Checkpoint(state.tensors);
    const given = { gpuDirect: 'yes' } as unknown as { gpuDirect: true };
    await expect(checkpoint.save(join(directory(), 'ckpt'), given)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/gpuDirect must be true or false or 'auto'/),
    });
  });
});
