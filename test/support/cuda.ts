import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { describe } from 'vitest';

/**
 * What the tests of the device path run on: the stand-in driver (test/standin-cuda), or with
 * TENSOR_CHECKPOINT_TEST_GPU=1 the machine's own driver. Import this before anything asks for a CUDA device.
 */

const root = fileURLToPath(new URL('../..', import.meta.url));
const built = `${root}test/standin-cuda/build/Release/`;

/** Whether the tests run on a real device. Then nothing can be injected, and what lives there can't be counted. */
export const onRealGpu = process.env.TENSOR_CHECKPOINT_TEST_GPU === '1';

/** Paths of the stand-in drivers. */
export const STANDIN = `${built}standin_cuda.node`;
export const OLD_STANDIN = `${built}standin_cuda_old.node`;

/** Devices that the stand-in of these tests has. */
export const STANDIN_DEVICES = 2;

/** The addon that plays another library using CUDA, and the controls of the stand-in. */
export interface OtherLibrary {
  load(library: string): void;
  allocate(device: number, bytes: number): bigint;
  free(device: number, pointer: bigint): void;
  allocatePinned(bytes: number): bigint;
  freePinned(memory: bigint): void;
  /** flags 1: not ordered against the legacy default stream. */
  makeStream(device: number, flags: number): bigint;
  /** Waits for it and destroys it. */
  endStream(device: number, stream: bigint): void;
  /** Copies the bytes to pinned memory and enqueues a copy from there, which happens later. */
  enqueueWrite(device: number, stream: bigint, pointer: bigint, bytes: Uint8Array, pinned: bigint): void;
  write(device: number, pointer: bigint, bytes: Uint8Array): void;
  read(device: number, pointer: bigint, length: number): Uint8Array;
  makeDLPack(init: MadeDLPack): object;
  readDLPack(
    external: object,
    versioned: boolean,
  ): { pointer: bigint; deviceType: number; device: number; code: number; bits: number; shape: number[] };
  deleteDLPack(external: object, versioned: boolean): void;
  deletersCalled(): number;
  /** The nth call from now on fails. mode 0: once; 1: every call from then on; 2: its work fails later. */
  fail(driverFunction: string, nth: number, code: number, mode: number): void;
  reset(): void;
  limitLocked(bytes: number): void;
  slowCopies(microseconds: number, bytesPerSecond: number): void;
  /** cuFile's mode, as STANDIN_CUFILE (test/standin-cuda/README.md), and how many bytes a transfer moves at most. */
  cufile(mode: string, mostBytes: number): void;
  abortOnViolation(abort: boolean): void;
  takeViolations(): string;
  describe(): string;
}

/** What a DLPack tensor is made of; left out: float32, device 0, CUDA memory, row-major. */
export interface MadeDLPack {
  pointer: bigint;
  shape: number[];
  strides?: number[];
  device?: number;
  deviceType?: number;
  ndim?: number;
  code?: number;
  bits?: number;
  lanes?: number;
  byteOffset?: number;
  versioned?: boolean;
  major?: number;
  flags?: number;
}

/** What is alive on the stand-in. */
export interface StandinState {
  deviceAllocations: number;
  deviceBytes: number;
  hostAllocations: number;
  lockedBytes: number;
  streams: number;
  events: number;
  modules: number;
  fileHandles: number;
  fileBuffers: number;
  contextsRetained: number;
  calls: Record<string, number>;
}

const build = prebuilt() ?? spawnSync(process.execPath, ['scripts/standin-cuda.mjs'], { cwd: root, encoding: 'utf8' });
if (build.status !== 0 && build.status !== 3) throw new Error(build.stderr);

/** Why the tests of the device path can't run; null where they can. */
export const noStandin = build.status === 0 ? null : build.stderr.trim();

export const library: OtherLibrary = noStandin === null ? loadLibrary() : (undefined as unknown as OtherLibrary);

/** A `describe` for the device path, on the stand-in or a real device. */
export function describeCuda(name: string, fn: () => void): void {
  if (noStandin === null) describe(name, fn);
  else describe.skip(`${name} (skipped: ${noStandin})`, fn);
}

/** A `describe` of what only the stand-in can show: failures, counts of what is alive. */
export function describeStandin(name: string, fn: () => void): void {
  if (noStandin === null && !onRealGpu) describe(name, fn);
  else describe.skip(`${name} (skipped: ${noStandin ?? 'it needs the stand-in driver'})`, fn);
}

/** What is alive, but for the counts of calls. */
export function alive(): Omit<StandinState, 'calls'> {
  const { calls: _, ...rest } = standinState();
  return rest;
}

export function standinState(): StandinState {
  return JSON.parse(library.describe()) as StandinState;
}

/** Packed for a machine without a compiler, the tests bring what is built. */
function prebuilt(): { status: number; stderr: string } | null {
  return process.env.TENSOR_CHECKPOINT_PREBUILT_STANDIN === '1' ? { status: 0, stderr: '' } : null;
}

function loadLibrary(): OtherLibrary {
  const driver = onRealGpu ? (process.env.TENSOR_CHECKPOINT_CUDA_LIBRARY ?? 'libcuda.so.1') : STANDIN;
  process.env.TENSOR_CHECKPOINT_CUDA_LIBRARY = driver;
  if (!onRealGpu) process.env.TENSOR_CHECKPOINT_CUFILE_LIBRARY = STANDIN;
  process.env.STANDIN_CUDA_DEVICES = String(STANDIN_DEVICES);
  process.env.STANDIN_CUDA_DEVICE_MEMORY = String(2 ** 28);
  const loaded = createRequire(import.meta.url)(`${built}other_library.node`) as OtherLibrary;
  loaded.load(driver);
  return loaded;
}
