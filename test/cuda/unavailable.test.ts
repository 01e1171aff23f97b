import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { compileChild } from '../support/child.ts';
import { describeStandin, OLD_STANDIN, STANDIN } from '../support/cuda.ts';

interface Seen {
  available: boolean;
  reason: string | null;
  devices: unknown[];
  allocated: string;
}

async function seenWith(env: Record<string, string>): Promise<Seen> {
  const child = await compileChild(new URL('./unavailable-child.ts', import.meta.url));
  const { STANDIN_CUDA_DEVICES: _, ...rest } = process.env;
  const result = spawnSync(process.execPath, [child], { env: { ...rest, ...env }, encoding: 'utf8', timeout: 50_000 });
  expect(result.stderr).toBe('');
  return JSON.parse(result.stdout) as Seen;
}

describeStandin('without a usable CUDA device everything else works, and the reason is told', () => {
  test.each<[string, Record<string, string>, RegExp]>([
    ['no driver', { TENSOR_CHECKPOINT_CUDA_LIBRARY: '/no/such/libcuda.so.1' }, /no CUDA driver: \/no\/such\/libcuda/],
    ['a driver too old', { TENSOR_CHECKPOINT_CUDA_LIBRARY: OLD_STANDIN }, /is too old: it has no cu\w+/],
    ['no device', { STANDIN_CUDA_DEVICES: '0' }, /CUDA_ERROR_NO_DEVICE.*CUDA_VISIBLE_DEVICES/],
    ['one that is forbidden', { STANDIN_CUDA_FAIL: 'cuInit:1=304' }, /CUDA_ERROR_OPERATING_SYSTEM.*\/dev\/nvidia/],
    ['a driver that does not fit', { STANDIN_CUDA_FAIL: 'cuInit:1=803' }, /SYSTEM_DRIVER_MISMATCH.*restart/],
    ['a driver that can not count', { STANDIN_CUDA_FAIL: 'cuDeviceGetCount:1=999' }, /CUDA_ERROR_UNKNOWN/],
  ])('%s', async (_, env, reason) => {
    const seen = await seenWith({ TENSOR_CHECKPOINT_CUDA_LIBRARY: STANDIN, ...env });
    expect(seen).toMatchObject({ available: false, devices: [], allocated: 'CUDA_UNAVAILABLE' });
    expect(seen.reason).toMatch(reason);
  });

  test('one device', async () => {
    const seen = await seenWith({ TENSOR_CHECKPOINT_CUDA_LIBRARY: STANDIN });
    expect(seen).toMatchObject({ available: true, reason: null, allocated: 'allocated' });
    expect(seen.devices).toHaveLength(1);
  });
});
