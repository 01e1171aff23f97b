import { readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as engine from '../../src/native/engine.ts';
import { loadAddon } from '../../src/native/loader.ts';
import { compileChild, startChild } from '../support/child.ts';
import { testDirectories } from '../support/directory.ts';
import { loadProgram, pattern, saveProgram } from './programs.ts';

const directoryOf = testDirectories();

async function failureOf(run: engine.SaveRun) {
  const error = await run.finished.then(
    () => {
      throw new Error('the save should have failed');
    },
    (e) => e,
  );
  for (const milestone of [run.captured, run.indexed, run.committed]) {
    await milestone.catch((e) => expect(e).toBe(error));
  }
  return error;
}

describe('a save that fails', () => {
  it('names errno, call and path, and leaves no file', async () => {
    const directory = directoryOf();
    const tensors = [{ bytes: pattern(5000, 1), offset: 0 }];
    const program = saveProgram(directory, tensors);
    const missing = join(directory, 'nowhere', 'data');
    const run = engine.runSave({ ...program, files: { ...program.files, paths: [missing] } });
    const error = await failureOf(run);
    expect(error).toMatchObject({ code: 'NOT_FOUND', errno: 'ENOENT', syscall: 'open', path: missing });
    expect(run.failure).toEqual({ published: false, undone: true });
    expect(readdirSync(directory)).toEqual([]);
  });

  it('never writes to a file that exists', async () => {
    const directory = directoryOf();
    writeFileSync(join(directory, 'ckpt.data-0'), 'precious');
    const run = engine.runSave(saveProgram(directory, [{ bytes: pattern(5000, 1), offset: 0 }]));
    expect(await failureOf(run)).toMatchObject({ code: 'IO_ERROR', errno: 'EEXIST' });
    expect(readdirSync(directory)).toEqual(['ckpt.data-0']);
  });

  it('stops at a file size limit of the process with EFBIG and leaves no file', async () => {
    const directory = directoryOf();
    const script = await compileChild(new URL('./limited-child.ts', import.meta.url));
    const { spawnSync } = await import('node:child_process');
    const command = `ulimit -f 1024; exec "${process.execPath}" "${script}" "${directory}"`;
    const child = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
    expect(JSON.parse(child.stdout)).toMatchObject({ code: 'IO_ERROR', errno: 'EFBIG' });
    expect(readdirSync(directory)).toEqual([]);
  });

  it('is aborted by its signal before the commit and leaves no file', async () => {
    const directory = directoryOf();
    const controller = new AbortController();
    const tensors = [{ bytes: new Uint8Array(engine.allocate(64 * 2 ** 20)), offset: 0 }];
    const run = engine.runSave(saveProgram(directory, tensors, { threads: 1 }), { signal: controller.signal });
    controller.abort(new Error('enough'));
    const error = await failureOf(run);
    expect(error).toMatchObject({ code: 'ABORTED' });
    expect(readdirSync(directory)).toEqual([]);
  });

  it('does not start with a signal that is aborted already', async () => {
    const directory = directoryOf();
    const run = engine.runSave(saveProgram(directory, []), { signal: AbortSignal.abort() });
    expect(await failureOf(run)).toMatchObject({ code: 'ABORTED' });
    expect(readdirSync(directory)).toEqual([]);
  });

  it('aborting a finished save does nothing', async () => {
    const run = engine.runSave(saveProgram(directoryOf(), []));
    await run.finished;
    run.abort();
    expect(run.failure).toBeNull();
  });
});

describe('programs that break the contract are refused before anything happens', () => {
  const bytes = pattern(1000, 1);
  const base = () => saveProgram(directoryOf(), [{ bytes, offset: 0 }]);
  const cases: Record<string, (p: ReturnType<typeof base>) => unknown> = {
    'an extent beyond its buffer': (p) => ({ ...p, extents: { ...p.extents, bytes: Float64Array.of(1001) } }),
    'a negative source': (p) => ({ ...p, extents: { ...p.extents, source: Float64Array.of(-1) } }),
    'a length that is not a number': (p) => ({ ...p, extents: { ...p.extents, bytes: Float64Array.of(Number.NaN) } }),
    'a fraction': (p) => ({ ...p, extents: { ...p.extents, bytes: Float64Array.of(1.5) } }),
    'an offset beyond 2^53': (p) => ({ ...p, extents: { ...p.extents, fileOffset: Float64Array.of(2 ** 60) } }),
    'a buffer that is not there': (p) => ({ ...p, extents: { ...p.extents, buffer: Uint32Array.of(1) } }),
    'a file that is not there': (p) => ({ ...p, extents: { ...p.extents, file: Uint32Array.of(1) } }),
    'a tensor that is not there': (p) => ({ ...p, extents: { ...p.extents, tensor: Uint32Array.of(1) } }),
    'columns of different length': (p) => ({ ...p, extents: { ...p.extents, tensor: new Uint32Array(2) } }),
    'a column of the wrong type': (p) => ({ ...p, extents: { ...p.extents, tensor: new Float64Array(1) } }),
    'an extent beyond its file': (p) => ({ ...p, files: { ...p.files, sizes: Float64Array.of(999) } }),
    'an unknown kind': (p) => ({ ...p, extents: { ...p.extents, kind: Uint8Array.of(2) } }),
    'an unknown step': (p) => ({ ...p, steps: [{ op: 'format' }] }),
    'a blob that is not there': (p) => ({ ...p, steps: [{ op: 'create', blob: 1 }] }),
    'a patch beyond its blob': (p) => ({
      ...p,
      blobs: [{ ...p.blobs[0], patches: { position: Float64Array.of(1), tensor: Uint32Array.of(0) } }],
    }),
    'a value beyond its blob': (p) => ({
      ...p,
      blobs: [{ ...p.blobs[0], values: { position: Float64Array.of(1), value: Uint32Array.of(0) } }],
    }),
    'a seal beyond its blob': (p) => ({
      ...p,
      blobs: [
        {
          ...p.blobs[0],
          seals: { start: Float64Array.of(2), length: Float64Array.of(3), position: Float64Array.of(0) },
        },
      ],
    }),
    'a path with a NUL': (p) => ({ ...p, files: { ...p.files, paths: ['a\0b'] } }),
    'a buffer that is none': (p) => ({ ...p, buffers: [{}] }),
    'no buffers': (p) => ({ ...p, buffers: undefined }),
    'a detached buffer': (p) => {
      const buffer = new ArrayBuffer(1000);
      structuredClone(buffer, { transfer: [buffer] });
      return { ...p, buffers: [buffer] };
    },
    'a resizable buffer': (p) => ({
      ...p,
      buffers: [
        new (ArrayBuffer as unknown as new (n: number, o: object) => ArrayBuffer)(1000, { maxByteLength: 2000 }),
      ],
    }),
  };
  for (const [name, breakIt] of Object.entries(cases)) {
    it(name, async () => {
      const program = breakIt(base()) as ReturnType<typeof base>;
      // Columns are looked at by the program's thread, all else in the call.
      const starting = async () => await engine.runSave(program).finished;
      await expect(starting()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      expect(readdirSync(dirname(program.blobs[0]!.temporaryPath))).toEqual([]);
    });
  }

  it('something else than what takeBuffers() gave', () => {
    const { takeBuffers } = loadAddon();
    const refused = { code: 'INVALID_ARGUMENT' };
    for (const taken of [{}, null, 7, new Map()] as object[]) {
      expect(() => engine.runSave({ ...base(), taken })).toThrow(expect.objectContaining(refused));
      expect(() => takeBuffers(taken, new ArrayBuffer(1))).toThrow(TypeError);
    }
    expect(() => takeBuffers(undefined, {} as ArrayBuffer)).toThrow(TypeError);
  });

  it('a target beyond its buffer', async () => {
    const program = loadProgram(directoryOf(), [{ bytes, offset: 0 }], [new Uint8Array(999)], [0]);
    await expect(engine.runLoad(program)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('native functions called with nonsense throw', () => {
    const addon = loadAddon() as unknown as Record<string, (...args: unknown[]) => unknown>;
    for (const name of ['startSave', 'startLoad', 'allocate', 'crc32c', 'readFile', 'stat', 'readDirectory']) {
      expect(() => addon[name]!(), name).toThrow(TypeError);
      expect(() => addon[name]!({}, {}, {}), name).toThrow(TypeError);
    }
  });
});

describe('small files and directories', () => {
  it('are read, listed, made and locked', async () => {
    const directory = directoryOf();
    writeFileSync(join(directory, 'ä'), 'text');
    expect(Buffer.from(await engine.readFile(join(directory, 'ä'))).toString()).toBe('text');
    await expect(engine.readFile(join(directory, 'ä'), 3)).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
    await expect(engine.readFile(join(directory, 'b'))).rejects.toMatchObject({ code: 'NOT_FOUND', errno: 'ENOENT' });
    await expect(engine.readFile(directory)).rejects.toMatchObject({ code: 'IO_ERROR', errno: 'EISDIR' });
    expect(await engine.stat(join(directory, 'ä'))).toMatchObject({ size: 4, isDirectory: false });
    expect(await engine.stat(join(directory, 'b'))).toBeNull();
    expect(await engine.readDirectory(directory)).toEqual(['ä']);
    expect(engine.readDirectorySync(join(directory, 'b'))).toBeNull();
    const made = [join(directory, 'x'), join(directory, 'x/y'), join(directory, 'x/y/z')];
    expect(engine.makeDirectoriesSync(`${made[2]}/`)).toEqual(made);
    expect(engine.makeDirectoriesSync(made[2]!)).toEqual([]);
    expect(() => engine.makeDirectoriesSync(join(directory, 'ä/b'))).toThrow(
      expect.objectContaining({ errno: 'ENOTDIR' }),
    );
    const lock = engine.lockDirectorySync(directory);
    expect(() => engine.lockDirectorySync(directory)).toThrow(expect.objectContaining({ code: 'DIRECTORY_LOCKED' }));
    lock.release();
    lock.release();
    engine.lockDirectorySync(directory).release();
  });

  it('a lock ends with its process', async () => {
    const directory = directoryOf();
    const script = await compileChild(new URL('./lock-child.ts', import.meta.url));
    const child = startChild(script, [directory]);
    await new Promise((resolve) => child.stdout!.once('data', resolve));
    expect(() => engine.lockDirectorySync(directory)).toThrow(expect.objectContaining({ code: 'DIRECTORY_LOCKED' }));
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    engine.lockDirectorySync(directory).release();
  });
});
