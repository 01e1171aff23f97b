import { join } from 'node:path';
import type { LoadProgram, SaveProgram, SaveProgramOptions, Step } from '../../src/native/contract.ts';

/** A tensor of a test program: its bytes and where in which file they go. */
export interface Placed {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly file?: number;
}

export const defaultOptions: SaveProgramOptions = {
  threads: 0,
  stagingBytes: 2 ** 26,
  copy: false,
  durable: true,
  direct: true,
  progress: false,
};

/** The save of `tensors` into `directory`, with an index of nothing but their masked checksums. */
export function saveProgram(
  directory: string,
  tensors: readonly Placed[],
  options: Partial<SaveProgramOptions> = {},
  more: { readonly name?: string; readonly steps?: readonly Step[] } = {},
): SaveProgram {
  const name = more.name ?? 'ckpt';
  const fileCount = Math.max(1, ...tensors.map((t) => (t.file ?? 0) + 1));
  const sizes = new Float64Array(fileCount);
  for (const t of tensors) {
    const file = t.file ?? 0;
    sizes[file] = Math.max(sizes[file]!, t.offset + t.bytes.byteLength);
  }
  const index = tensors.map((_, i) => i);
  return {
    files: { paths: Array.from(sizes, (_, i) => join(directory, `${name}.data-${i}`)), sizes },
    buffers: tensors.map((t) => t.bytes.buffer),
    extents: {
      kind: new Uint8Array(tensors.length),
      buffer: Uint32Array.from(index),
      source: Float64Array.from(tensors, (t) => t.bytes.byteOffset),
      bytes: Float64Array.from(tensors, (t) => t.bytes.byteLength),
      file: Uint32Array.from(tensors, (t) => t.file ?? 0),
      fileOffset: Float64Array.from(tensors, (t) => t.offset),
      tensor: Uint32Array.from(index),
    },
    tensorCount: tensors.length,
    blobs: [
      {
        temporaryPath: join(directory, `${name}.tmp`),
        bytes: new Uint8Array(4 * tensors.length),
        patches: { position: Float64Array.from(index, (i) => 4 * i), tensor: Uint32Array.from(index) },
      },
    ],
    steps: [
      { op: 'create', blob: 0 },
      { op: 'write' },
      { op: 'finish', blob: 0 },
      { op: 'sync' },
      { op: 'syncDirectory', path: directory },
      { op: 'publish', blob: 0, path: join(directory, `${name}.index`), commits: true },
      { op: 'syncDirectory', path: directory },
      { op: 'milestone', name: 'indexed' },
      { op: 'milestone', name: 'committed' },
      ...(more.steps ?? []),
    ],
    undo: [{ op: 'unlink', path: join(directory, `${name}.index`) }],
    options: { ...defaultOptions, ...options },
  };
}

/** Reads what {@link saveProgram} has written. `into[t]` null: only verify. */
export function loadProgram(
  directory: string,
  tensors: readonly Placed[],
  into: readonly (Uint8Array | null)[],
  expected: readonly number[],
  options: Partial<LoadProgram['options']> = {},
): LoadProgram {
  const fileCount = Math.max(1, ...tensors.map((t) => (t.file ?? 0) + 1));
  const index = tensors.map((_, i) => i);
  return {
    files: { paths: Array.from({ length: fileCount }, (_, i) => join(directory, `ckpt.data-${i}`)) },
    buffers: into.map((bytes) => bytes?.buffer ?? new ArrayBuffer(0)),
    extents: {
      file: Uint32Array.from(tensors, (t) => t.file ?? 0),
      fileOffset: Float64Array.from(tensors, (t) => t.offset),
      bytes: Float64Array.from(tensors, (t) => t.bytes.byteLength),
      buffer: Uint32Array.from(index, (i) => (into[i] ? i : 0xffffffff)),
      target: Float64Array.from(into, (bytes) => bytes?.byteOffset ?? 0),
      tensor: Uint32Array.from(index),
    },
    tensors: {
      count: tensors.length,
      expected: Uint32Array.from(expected),
      verify: new Uint8Array(tensors.length).fill(1),
    },
    options: { threads: 0, stagingBytes: 2 ** 26, direct: true, progress: false, keepGoing: false, ...options },
  };
}

/** Bytes that differ everywhere, at `misalignment` from an aligned address. */
export function pattern(length: number, seed: number, misalignment = 0, memory?: ArrayBuffer): Uint8Array {
  const bytes = new Uint8Array(memory ?? new ArrayBuffer(length + misalignment), misalignment, length);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export function unmask(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}
