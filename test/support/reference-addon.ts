import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { maskCrc } from '../../src/bundle/crc.ts';
import {
  ExtentKind,
  type FileStat,
  type LoadDamage,
  type LoadEvent,
  type LoadProgram,
  type NativeAddon,
  type NativeBytes,
  type NativeError,
  NO_BUFFER,
  type SaveEvent,
  type SaveProgram,
  type Step,
} from '../../src/native/contract.ts';
import { crc32c } from './crc.ts';
import { contentOf } from './native-bytes.ts';
import { referenceEncoders } from './reference-encoders.ts';

/**
 * The contract of src/native/contract.ts in plain JavaScript, one step after the other, and with hooks: a test can
 * stop a program before any step, or fail it there as a disk would. It is slow, copies, and is no part of the package.
 * Use it by mocking the loader:
 *
 *     vi.mock('../../src/native/loader.ts', async () => await import('../support/reference-addon.ts'));
 */
export const hooks: {
  /** Called before each step of a save; what it throws fails the step, what it returns is waited for. */
  beforeStep?: (step: Step, program: SaveProgram) => void | Promise<void>;
  /** Programs started, oldest first. */
  programs: SaveProgram[];
} = { programs: [] };

export function loadAddon(): NativeAddon {
  return addon;
}

function toNative(error: unknown): NativeError {
  const { code, message, syscall, path } = error as NodeJS.ErrnoException & { nativeCode?: NativeError['code'] };
  const native = (error as { nativeCode?: NativeError['code'] }).nativeCode;
  const mapped = code === 'ENOENT' ? 'NOT_FOUND' : code === 'ENOSPC' ? 'NO_SPACE' : 'IO_ERROR';
  return { code: native ?? mapped, message, errno: code, syscall, path };
}

/** What native is said to hold: there is no other memory here. */
function ownedAt(address: number, owners: readonly object[] = []): Uint8Array {
  const owner = owners.find((owner): owner is NativeBytes => (owner as Partial<NativeBytes>).address === address);
  if (owner === undefined) throw new Error('only memory of JavaScript here');
  return contentOf(owner);
}

const aborts = new Map<number, { aborted: boolean }>();
let lastId = 0;

/** The buffers of a program by their numbers. */
function memoryOf({ taken = [], buffers }: SaveProgram | LoadProgram): Uint8Array[] {
  return [...(taken as ArrayBufferLike[]), ...buffers].map((buffer) => new Uint8Array(buffer));
}

async function runSave(id: number, program: SaveProgram, emit: (event: SaveEvent) => void): Promise<void> {
  const crcs = new Uint32Array(program.tensorCount);
  const created = new Set<string>();
  let published = false;
  const data = memoryOf(program);
  let captured = false;
  const capture = () => {
    if (!captured) emit({ type: 'captured', seconds: 0 });
    captured = true;
  };

  const run = (step: Step): void => {
    switch (step.op) {
      case 'create': {
        const path = program.blobs[step.blob]!.temporaryPath;
        closeSync(openSync(path, 'wx'));
        created.add(path);
        break;
      }
      case 'write': {
        const { extents } = program;
        const fds = program.files.paths.map((path) => {
          const fd = openSync(path, 'wx');
          created.add(path);
          return fd;
        });
        for (let i = 0; i < extents.bytes.length; i++) {
          const at = extents.source[i]!;
          const bytes =
            extents.kind[i] === ExtentKind.jsMemory
              ? data[extents.buffer[i]!]!.subarray(at, at + extents.bytes[i]!)
              : ownedAt(at, program.owners);
          const tensor = extents.tensor[i]!;
          crcs[tensor] = crc32c(bytes, crcs[tensor]);
          if (bytes.length > 0) writeSync(fds[extents.file[i]!]!, bytes, 0, bytes.length, extents.fileOffset[i]!);
        }
        for (const fd of fds) closeSync(fd);
        capture();
        break;
      }
      case 'finish': {
        const blob = program.blobs[step.blob]!;
        const bytes = contentOf(blob.bytes);
        const view = new DataView(bytes.buffer);
        blob.values?.position.forEach((position, i) => {
          view.setUint32(position, blob.values!.value[i]!, true);
        });
        blob.patches?.position.forEach((position, i) => {
          view.setUint32(position, maskCrc(crcs[blob.patches!.tensor[i]!]!), true);
        });
        blob.seals?.start.forEach((start, i) => {
          const sealed = bytes.subarray(start, start + blob.seals!.length[i]!);
          view.setUint32(blob.seals!.position[i]!, maskCrc(crc32c(sealed)), true);
        });
        const fd = openSync(blob.temporaryPath, 'r+');
        writeSync(fd, bytes);
        fsyncSync(fd);
        closeSync(fd);
        break;
      }
      case 'publish': {
        const { temporaryPath } = program.blobs[step.blob]!;
        renameSync(temporaryPath, step.path);
        created.delete(temporaryPath);
        if (step.commits) published = true;
        break;
      }
      case 'link':
        linkSync(step.from, step.path);
        created.add(step.path);
        break;
      case 'unlink':
        try {
          unlinkSync(step.path);
        } catch (error) {
          const kind = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'missing' : 'unlink';
          const { message, path, errno } = toNative(error);
          emit({ type: 'warning', warning: { kind, message, path: path ?? step.path, errno } });
        }
        break;
      case 'milestone':
        emit({ type: step.name, seconds: 0 });
        break;
      default:
    }
  };

  let committed = false;
  try {
    for (const step of program.steps) {
      if (!published && aborts.get(id)!.aborted) {
        throw Object.assign(new Error('the save was aborted'), { nativeCode: 'ABORTED' });
      }
      await hooks.beforeStep?.(step, program);
      run(step);
      if (step.op === 'milestone' && step.name === 'committed') committed = true;
    }
    capture();
    emit({
      type: 'finished',
      stats: {
        bytesWritten: program.extents.bytes.reduce((a, b) => a + b, 0),
        bytesCopied: 0,
        directBytes: 0,
        gpuDirectBytes: 0,
        syncs: 0,
        seconds: 0.001,
        capturedSeconds: 0,
        writeSeconds: 0,
        syncSeconds: 0,
      },
    });
  } catch (error) {
    let undone = !committed;
    if (published && !committed) {
      for (const step of program.undo) {
        try {
          if (step.op === 'unlink') rmSync(step.path, { force: true });
          else run(step);
        } catch {
          undone = false;
        }
      }
      for (const blob of program.blobs) rmSync(blob.temporaryPath, { force: true });
    } else {
      for (const path of created) if (!published || path.includes('.tmp-')) rmSync(path, { force: true });
    }
    emit({ type: 'failed', error: toNative(error), published, undone });
  }
}

function runLoad(program: LoadProgram): LoadEvent {
  const { extents, tensors } = program;
  const crcs = new Uint32Array(tensors.count);
  const bad = new Map<number, LoadDamage>();
  const touched = new Uint8Array(tensors.count);
  const data = memoryOf(program);
  for (let i = 0; i < extents.bytes.length; i++) {
    const tensor = extents.tensor[i]!;
    const path = program.files.paths[extents.file[i]!]!;
    const offset = extents.fileOffset[i]!;
    const damage = (kind: LoadDamage['kind'], message: string): void => {
      bad.set(tensor, { tensor, kind, error: { code: 'DATA_LOSS', message, path, offset, tensor } });
    };
    const length = extents.bytes[i]!;
    const into =
      extents.buffer[i] === NO_BUFFER
        ? new Uint8Array(length)
        : data[extents.buffer[i]!]!.subarray(extents.target[i]!, extents.target[i]! + length);
    if (!existsSync(path)) {
      damage('missing', `${path} is missing`);
      continue;
    }
    const fd = openSync(path, 'r');
    const got = readSync(fd, into, 0, length, offset);
    closeSync(fd);
    if (extents.buffer[i] !== NO_BUFFER) touched[tensor] = 1;
    if (got < length) damage('short', `${path} ends early`);
    crcs[tensor] = crc32c(into, crcs[tensor]);
  }
  for (let tensor = 0; tensor < tensors.count; tensor++) {
    if (tensors.verify[tensor] === 0 || crcs[tensor] === tensors.expected[tensor] || bad.has(tensor)) continue;
    const extent = extents.tensor.indexOf(tensor);
    const path = program.files.paths[extents.file[extent]!]!;
    const error: NativeError = {
      code: 'DATA_LOSS',
      message: `checksum of ${path}`,
      path,
      offset: extents.fileOffset[extent]!,
      tensor,
    };
    bad.set(tensor, { tensor, kind: 'checksum', error, found: crcs[tensor]! });
  }
  const damage = [...bad.values()];
  if (damage.length > 0 && !program.options.keepGoing) {
    return { type: 'failed', error: damage[0]!.error, damage: damage[0]!, touched };
  }
  return {
    type: 'finished',
    stats: { bytesRead: 0, bytesCopied: 0, directBytes: 0, gpuDirectBytes: 0, seconds: 0 },
    damage,
  };
}

function later<T>(work: () => T, done: (error: NativeError | null, result?: T) => void): void {
  setImmediate(() => {
    let result: T;
    try {
      result = work();
    } catch (error) {
      done(toNative(error));
      return;
    }
    done(null, result);
  });
}

function attempt<T>(work: () => T): T | { readonly error: NativeError } {
  try {
    return work();
  } catch (error) {
    return { error: toNative(error) };
  }
}

const noCuda = { error: { code: 'CUDA_UNAVAILABLE', message: 'the reference addon has no device' } } as const;

const addon: NativeAddon = {
  cudaUnavailable: () => noCuda.error,
  cudaDevices: () => noCuda,
  cudaAllocate: () => noCuda,
  cudaRelease() {},
  cudaDescribe: () => noCuda,
  cudaCopy: (...args) => setImmediate(args[7], noCuda.error),
  dlpackTake: () => noCuda,
  dlpackGive: () => ({}),
  findTensorFlow: () => ({ error: { code: 'UNSUPPORTED', message: 'the reference addon knows no TensorFlow' } }),
  borrowTensors: () => {
    throw new Error('no TensorFlow');
  },
  placeTensor: () => {
    throw new Error('no TensorFlow');
  },
  releaseBorrow: () => {},
  holdTensors: () => 0,
  freeTensors: (_id, done) => setImmediate(done),
  provideTensor: () => null,
  reserveSnapshotPool: (_bytes, _device, done) =>
    done({ code: 'CUDA_UNAVAILABLE', message: 'the reference addon knows no CUDA' }),
  releaseDeviceMemory: (done) => done(null),
  takeBuffers: (taken = [], ...buffers) => [...(taken as ArrayBufferLike[]), ...buffers],
  startSave(program, onEvent) {
    const id = ++lastId;
    hooks.programs.push(program);
    aborts.set(id, { aborted: false });
    setImmediate(() => void runSave(id, program, onEvent));
    return id;
  },
  startLoad(program, onEvent) {
    setImmediate(() => onEvent(runLoad(program)));
    return ++lastId;
  },
  abort(id) {
    const state = aborts.get(id);
    if (state) state.aborted = true;
  },
  ...referenceEncoders,
  allocate: (bytes) => new ArrayBuffer(bytes),
  free: (buffer) => void structuredClone(buffer, { transfer: [buffer] }),
  crc32c,
  readFile: (path, _max, done) =>
    later(() => {
      const bytes = readFileSync(path);
      return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
    }, done),
  // Nothing is of the plain kind to it: the parsers in TypeScript read all.
  readIndex: (path, _max, _elementBytes, _seed, done) =>
    later(() => ({ bytes: new Uint8Array(readFileSync(path)) }), done),
  readGraph: (_stored, done) => later(() => null, done),
  stat: (path, done) =>
    later((): FileStat => {
      const found = statSync(path);
      return { size: found.size, mtimeMs: found.mtimeMs, isDirectory: found.isDirectory() };
    }, done),
  readDirectory: (path, done) => later(() => readdirSync(path), done),
  readDirectorySync: (path) => attempt(() => readdirSync(path)),
  makeDirectoriesSync: (path) =>
    attempt(() => {
      const made: string[] = [];
      for (let at = path; !existsSync(at); at = dirname(at)) made.unshift(at);
      mkdirSync(path, { recursive: true });
      return made;
    }),
  lockDirectorySync: () => ({ release() {} }),
  info: () => ({ checksum: 'reference', io: 'threads', threads: 1, version: 'reference', countedBytes: 0 }),
};
