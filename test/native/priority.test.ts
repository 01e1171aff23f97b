import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Checkpoint } from '../../src/checkpoint/index.ts';
import { normalizeWriteOptions, type WriteOptions } from '../../src/checkpoint/options.ts';
import { type PlannedBytes, programOptions } from '../../src/checkpoint/write-plan.ts';
import { ExtentKind } from '../../src/native/contract.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { testDirectories } from '../support/directory.ts';

const directory = testDirectories();

/** The engine's threads, those of the calling process: niceness, and time slice in milliseconds where the system tells it. */
function engineThreads(): { niceness: number; slice: number | undefined }[] {
  const found: { niceness: number; slice: number | undefined }[] = [];
  for (const thread of readdirSync('/proc/self/task')) {
    const [, name, rest] = /^\d+ \((.*)\) (.*)$/s.exec(readFileSync(`/proc/self/task/${thread}/stat`, 'utf8'))!;
    if (!name!.startsWith('tensor-ckpt')) continue;
    found.push({ niceness: Number(rest!.split(' ')[16]), slice: sliceOf(`/proc/self/task/${thread}/sched`) });
  }
  return found;
}

function sliceOf(file: string): number | undefined {
  if (!existsSync(file)) return undefined;
  const nanoseconds = /^se\.slice +: +(\d+)$/m.exec(readFileSync(file, 'utf8'))?.[1];
  return nanoseconds === undefined ? undefined : Number(nanoseconds) / 1e6;
}

const niceness = () => new Set(engineThreads().map((thread) => thread.niceness));

const noSlices =
  sliceOf('/proc/self/sched') === undefined ? 'threads have no time slices of their own here' : undefined;

describe('the priority of a save', () => {
  const MANY = 2 ** 26;
  const planned = (
    bytes: number,
    kind: number = ExtentKind.jsMemory,
    more: Partial<PlannedBytes> = {},
  ): PlannedBytes => ({
    byteLength: bytes,
    extents: { kind: Uint8Array.of(kind), bytes: Float64Array.of(bytes) } as unknown as PlannedBytes['extents'],
    ...more,
  });
  const background = (options: WriteOptions, given: PlannedBytes | undefined) =>
    programOptions(normalizeWriteOptions(options, 'save'), given).background;

  it('is the background from 64 MiB on', () => {
    expect(background({}, planned(MANY))).toBe(true);
    expect(background({}, planned(MANY - 1))).toBe(false);
    expect(background({}, undefined)).toBe(false);
  });

  it('is not where training waits until as much was copied', () => {
    expect(background({ enableAsync: true }, planned(MANY))).toBe(false);
    expect(background({ enableAsync: true }, planned(MANY, ExtentKind.pinnedMemory))).toBe(true);
    expect(background({ enableAsync: true, snapshot: 'borrow' }, planned(MANY))).toBe(true);
    const devices = { ordinal: Uint32Array.of(0), stream: Float64Array.of(-1) };
    expect(background({}, planned(MANY, ExtentKind.cudaDevice, { devices }))).toBe(false);
  });

  it('is what the caller says', () => {
    expect(background({ priority: 'normal' }, planned(2 ** 40))).toBe(false);
    expect(background({ priority: 'background' }, planned(1))).toBe(true);
    expect(background({ priority: 'background', enableAsync: true }, planned(MANY))).toBe(true);
  });

  it('decides on which threads it runs', async () => {
    const own = getPriority();
    const checkpoint = new Checkpoint({ x: HostTensor.allocate({ dtype: 'float32', shape: [1024] }) });
    await checkpoint.save(join(directory(), 'ckpt'), { priority: 'normal' });
    expect(niceness()).toEqual(new Set([own]));
    await checkpoint.save(join(directory(), 'ckpt'), { priority: 'background' });
    expect(niceness()).toEqual(new Set([own, Math.max(own, 15)]));
    expect(getPriority()).toBe(own);
  });
});

describe(`the time slices of a restore${noSlices ? ` (skipped: ${noSlices})` : ''}`, () => {
  it.skipIf(noSlices !== undefined)('are long from 64 MiB on, at the same niceness', async () => {
    const own = getPriority();
    const bulk = () => engineThreads().filter(({ niceness, slice }) => niceness === own && slice! >= 20).length;
    const restore = async (elements: number) => {
      const checkpoint = new Checkpoint({ x: HostTensor.allocate({ dtype: 'float32', shape: [elements] }) });
      await checkpoint.restore(await checkpoint.write(join(directory(), 'ckpt')));
    };
    await restore(2 ** 24 - 1);
    const before = bulk();
    await restore(2 ** 24);
    expect(bulk()).toBeGreaterThan(before);
  });
});
