import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const device = `${root}native/device/`;
const embedded = readFileSync(`${device}crc32c_ptx.cc`, 'utf8');

describe('the embedded checksum kernel', () => {
  test('is made of the kernel as it is in the repository', () => {
    const digest = createHash('sha256');
    for (const name of ['crc32c_kernel.cu', 'crc32c_kernel.h']) digest.update(readFileSync(device + name));
    expect(embedded).toContain(`// Sources: sha256 ${digest.digest('hex')}`);
  });

  test('asks for no later driver than CUDA 11.0 and no later device than sm_75', () => {
    expect(embedded.match(/^R"ptx\(\.version (\S+)$/m)?.[1]).toBe('7.0');
    expect(embedded.match(/^\.target (\S+)$/m)?.[1]).toBe('sm_75');
  });

  test('is what nvcc makes of the kernel, and assembles for sm_75, sm_80 and sm_90', (context) => {
    const result = spawnSync(process.execPath, ['scripts/build-ptx.mjs', '--check'], { cwd: root, encoding: 'utf8' });
    if (result.status === 3) context.skip(`the CUDA toolkit is not here: ${result.stderr.trim()}`);
    expect(`${result.stdout}${result.stderr}`).toBe('');
    expect(result.status).toBe(0);
  });
});
