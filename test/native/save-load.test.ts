import { readdirSync, readFileSync, statSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ExtentKind, type NativeWarning, type Progress } from '../../src/native/contract.ts';
import { allocate, crc32c, type LoadFailure, runLoad, runSave } from '../../src/native/engine.ts';
import { loadAddon } from '../../src/native/loader.ts';
import { takeBuffers } from '../../src/native/take-buffers.ts';
import { promiseOf, ShortTurns } from '../../src/steps.ts';
import { testDirectories } from '../support/directory.ts';
import { made } from '../support/encoders.ts';
import { columnOf } from '../support/reference-encoders.ts';
import { loadProgram, type Placed, pattern, saveProgram, unmask } from './programs.ts';

const directoryOf = testDirectories();

/** Tensors of odd sizes at odd addresses and offsets, large ones at 4 KiB boundaries, small ones densely packed. */
function oddTensors(): Placed[] {
  const sizes = [0, 1, 7, 511, 512, 513, 4095, 4096, 4097, 65_537, 300_001, 1_048_576, 5_000_003, 0, 8_388_608, 13];
  const placed: Placed[] = [];
  const ends = [0, 0, 0];
  for (const [i, size] of sizes.entries()) {
    const file = i % 3;
    const large = size >= 4096;
    const offset = large ? Math.ceil(ends[file]! / 4096) * 4096 : ends[file]!;
    ends[file] = offset + size;
    const aligned = i % 2 === 0;
    placed.push({
      bytes: aligned ? pattern(size, i, 0, size > 0 ? allocate(size) : undefined) : pattern(size, i, (i * 3) % 16),
      offset,
      file,
    });
  }
  return placed;
}

describe('a save program', () => {
  it("copies native's own bytes where it copies, so that what it captures doesn't wait for the disk, and else leaves them", async () => {
    const names = columnOf([`${'a'.repeat(2 ** 20)}`]);
    const none = columnOf([]);
    const { bytes } = made(
      loadAddon().encodeGraph({
        childStart: Int32Array.of(0, 1, 1),
        childIds: Int32Array.of(1),
        childNames: names,
        valueStart: new Int32Array(3),
        attributes: new Uint32Array(0),
        attributeNames: none,
        keys: none,
        slotStart: new Int32Array(3),
        slotVariables: new Int32Array(0),
        slotNames: none,
        slotIds: new Int32Array(0),
      }),
    );
    for (const copy of [true, false]) {
      const directory = directoryOf();
      const program = saveProgram(directory, [{ bytes: new Uint8Array(bytes.byteLength), offset: 0 }], {
        copy,
        direct: false,
      });
      const extents = {
        ...program.extents,
        kind: Uint8Array.of(ExtentKind.nativeMemory),
        source: Float64Array.of(bytes.address),
      };
      const stats = await runSave({ ...program, buffers: [], owners: [bytes], extents }).finished;
      expect(stats.bytesCopied).toBe(copy ? bytes.byteLength : 0);
      expect(readFileSync(join(directory, 'ckpt.data-0')).equals(Buffer.from(bytes.copy()))).toBe(true);
    }
  });

  for (const options of [
    {},
    { direct: false },
    { copy: true },
    { copy: true, direct: false, stagingBytes: 300_000 },
    { threads: 1 },
    { threads: 32, durable: false },
  ]) {
    it(`stores every byte and checksum and reads them back: ${JSON.stringify(options)}`, async () => {
      const directory = directoryOf();
      const tensors = oddTensors();
      const run = runSave(saveProgram(directory, tensors, options));
      await run.captured;
      await run.committed;
      const stats = await run.finished;
      expect(run.failure).toBeNull();

      const index = new DataView(new Uint8Array(readFileSync(join(directory, 'ckpt.index'))).buffer);
      const sums = tensors.map((t) => crc32c(t.bytes));
      expect(tensors.map((_, i) => unmask(index.getUint32(4 * i, true)))).toEqual(sums);
      for (const [i, t] of tensors.entries()) {
        const file = readFileSync(join(directory, `ckpt.data-${t.file}`));
        expect(file.subarray(t.offset, t.offset + t.bytes.length).equals(t.bytes), `tensor ${i}`).toBe(true);
      }
      // Not a byte beyond the last tensor, and zeros between them.
      for (const file of [0, 1, 2]) {
        const mine = tensors.filter((t) => t.file === file);
        const end = Math.max(...mine.map((t) => t.offset + t.bytes.length));
        const content = readFileSync(join(directory, `ckpt.data-${file}`));
        expect(content.length).toBe(end);
        for (const t of mine) content.fill(0, t.offset, t.offset + t.bytes.length);
        expect(content.every((byte) => byte === 0)).toBe(true);
      }
      if (options.copy) expect(stats.bytesCopied).toBe(tensors.reduce((sum, t) => sum + t.bytes.length, 0));

      for (const direct of [true, false]) {
        const into = tensors.map((t, i) =>
          i % 2 ? new Uint8Array(t.bytes.length) : new Uint8Array(allocate(t.bytes.length)),
        );
        await runLoad(loadProgram(directory, tensors, into, sums, { direct }));
        expect(into.every((bytes, i) => Buffer.compare(bytes, tensors[i]!.bytes) === 0)).toBe(true);
      }
    });
  }

  it('takes very many buffers in pieces before the start, also while others run, and reads them back', async () => {
    const directory = directoryOf();
    const tensors = Array.from({ length: 1500 }, (_, i) => ({ bytes: pattern(9 + (i % 5), i), offset: 16 * i }));
    const program = saveProgram(directory, tensors);
    const turns = { due: true, next: () => new ShortTurns().next() };
    // Some were taken, the others are with the start.
    const taken = await promiseOf(takeBuffers(program.buffers.slice(0, 1234), turns));
    expect(taken.taken).toBeDefined();
    expect(taken.buffers).toEqual([]);
    await runSave({ ...program, ...taken, buffers: program.buffers.slice(1234) }).finished;
    const sums = tensors.map((t) => crc32c(t.bytes));
    const into = tensors.map((t) => new Uint8Array(t.bytes.length));
    const load = loadProgram(directory, tensors, into, sums);
    const again = { ...load, ...(await promiseOf(takeBuffers(load.buffers, turns))) };
    await runLoad(again);
    expect(into.map((bytes) => [...bytes])).toEqual(tensors.map((t) => [...t.bytes]));
    // A start uses up what was taken.
    await expect(runLoad(again)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('gives the same files for direct, buffered and copied writes', async () => {
    const tensors = oddTensors();
    const contents: Buffer[] = [];
    for (const options of [{}, { direct: false }, { copy: true }]) {
      const directory = directoryOf();
      await runSave(saveProgram(directory, tensors, options)).finished;
      contents.push(
        Buffer.concat(
          readdirSync(directory)
            .sort()
            .map((name) => readFileSync(join(directory, name))),
        ),
      );
    }
    expect(contents[0]!.equals(contents[1]!)).toBe(true);
    expect(contents[0]!.equals(contents[2]!)).toBe(true);
  });

  it('writes a tensor behind 4 GiB of a sparse file, and reads it back', async () => {
    const directory = directoryOf();
    // A file system without room for 5 GiB says so; then there is nothing to show here.
    const tensors = [
      { bytes: pattern(1_000_001, 1), offset: 0 },
      { bytes: pattern(1_000_001, 2), offset: 5 * 2 ** 30 + 4096 },
    ];
    await runSave(saveProgram(directory, tensors, { durable: false })).finished;
    expect(statSync(join(directory, 'ckpt.data-0')).size).toBe(5 * 2 ** 30 + 4096 + 1_000_001);
    const into = [null, new Uint8Array(1_000_001)];
    await runLoad(
      loadProgram(
        directory,
        tensors,
        into,
        tensors.map((t) => crc32c(t.bytes)),
      ),
    );
    expect(Buffer.compare(into[1]!, tensors[1]!.bytes)).toBe(0);
  });

  it('combines the checksum of a tensor from extents that lie in several files', async () => {
    const directory = directoryOf();
    const whole = pattern(3_000_000, 9);
    const parts = [
      { bytes: whole.subarray(0, 1_234_567), offset: 100, file: 1 },
      { bytes: whole.subarray(1_234_567), offset: 0, file: 0 },
    ];
    const program = saveProgram(directory, parts);
    const one = { ...program, tensorCount: 1, extents: { ...program.extents, tensor: new Uint32Array(2) } };
    const patches = { position: Float64Array.of(0), tensor: Uint32Array.of(0) };
    await runSave({ ...one, blobs: [{ ...program.blobs[0]!, patches }] }).finished;
    const index = readFileSync(join(directory, 'ckpt.index'));
    expect(unmask(index.readUInt32LE(0))).toBe(crc32c(whole));
  });

  it('stores a consistent copy of memory that changes meanwhile, with one warning per tensor', async () => {
    // What is stored under racing writers is luck; that it matches its checksum must not be.
    const { Worker } = await import('node:worker_threads');
    const memory = new SharedArrayBuffer(64 * 2 ** 20);
    const worker = new Worker(
      `const { workerData } = require('node:worker_threads');
       const words = new Uint32Array(workerData);
       require('node:worker_threads').parentPort.postMessage('ready');
       for (let n = 0; ; n++) for (let i = n % 7919; i < words.length; i += 100_003) words[i] += 1;`,
      { eval: true, workerData: memory },
    );
    try {
      await new Promise((resolve) => worker.once('message', resolve));
      const directory = directoryOf();
      const warnings: (NativeWarning & { key?: string })[] = [];
      const tensors = [{ bytes: new Uint8Array(memory), offset: 0 }];
      await runSave(saveProgram(directory, tensors, { durable: false, direct: false }), {
        names: () => 'weights',
        onWarning: (warning) => warnings.push(warning),
      }).finished;
      const index = readFileSync(join(directory, 'ckpt.index'));
      expect(unmask(index.readUInt32LE(0))).toBe(crc32c(readFileSync(join(directory, 'ckpt.data-0'))));
      expect(warnings.length).toBe(1);
      expect(warnings[0]).toMatchObject({ kind: 'changed', key: 'weights' });
    } finally {
      await worker.terminate();
    }
  });

  it('lets copied memory change as soon as it was captured', async () => {
    const directory = directoryOf();
    const bytes = pattern(20_000_000, 3);
    const before = crc32c(bytes);
    const warnings: unknown[] = [];
    const run = runSave(saveProgram(directory, [{ bytes, offset: 0 }], { copy: true }), {
      onWarning: (warning) => warnings.push(warning),
    });
    await run.captured;
    bytes.fill(0);
    await run.finished;
    expect(crc32c(readFileSync(join(directory, 'ckpt.data-0')))).toBe(before);
    expect(warnings).toEqual([]);
  });

  it('reports progress that only grows, up to the whole', async () => {
    const reports: Progress[] = [];
    const tensors = oddTensors();
    const run = runSave(saveProgram(directoryOf(), tensors, { progress: true }), {
      onProgress: (p) => reports.push(p),
    });
    const stats = await run.finished;
    const total = tensors.reduce((sum, t) => sum + t.bytes.length, 0);
    expect(reports.at(-1)).toEqual({
      bytesDone: total,
      bytesTotal: total,
      tensorsDone: tensors.length,
      tensorsTotal: tensors.length,
    });
    for (let i = 1; i < reports.length; i++) {
      expect(reports[i]!.bytesDone).toBeGreaterThanOrEqual(reports[i - 1]!.bytesDone);
    }
    expect(reports.length).toBeLessThanOrEqual(20 * stats.seconds + 2);
  });
});

describe('a load program', () => {
  async function saved() {
    const directory = directoryOf();
    const tensors = oddTensors();
    await runSave(saveProgram(directory, tensors)).finished;
    return { directory, tensors, sums: tensors.map((t) => crc32c(t.bytes)) };
  }

  it('fails on the first damaged tensor, naming it, and says what was touched', async () => {
    const { directory, tensors, sums } = await saved();
    const path = join(directory, 'ckpt.data-0');
    const content = readFileSync(path);
    const victim = tensors[12]!;
    content[victim.offset + 2_000_000]! ^= 1;
    writeFileSync(path, content);
    const into = tensors.map((t) => new Uint8Array(t.bytes.length));
    const failure = await runLoad(loadProgram(directory, tensors, into, sums), { names: (t) => `key${t}` }).catch(
      (e) => e,
    );
    expect(failure).toMatchObject({ code: 'DATA_LOSS', key: 'key12', path, offset: victim.offset });
    expect((failure as LoadFailure).touched).toBeInstanceOf(Uint8Array);
    expect((failure as LoadFailure).touched[12]).toBe(1);
  });

  it('lists all damage when it is told to keep going', async () => {
    const { directory, tensors, sums } = await saved();
    unlinkSync(join(directory, 'ckpt.data-1'));
    const path = join(directory, 'ckpt.data-2');
    truncateSync(path, statSync(path).size - 1);
    const wrong = sums.map((sum, i) => (i === 15 ? sum ^ 1 : sum) >>> 0);
    const { damage } = await runLoad(
      loadProgram(
        directory,
        tensors,
        tensors.map(() => null),
        wrong,
        { keepGoing: true },
      ),
    );
    const kinds = Object.fromEntries(damage.map((d) => [d.tensor, d.kind]));
    const lastOfTwo = tensors.reduce((last, t, i) => (t.file === 2 && t.offset >= tensors[last]!.offset ? i : last), 2);
    expect(kinds[15]).toBe('checksum');
    expect(kinds[lastOfTwo]).toBe('short');
    for (const [i, t] of tensors.entries()) if (t.file === 1) expect(kinds[i]).toBe('missing');
    const intact = tensors.filter((t, i) => t.file !== 1 && i !== 15 && i !== lastOfTwo).length;
    expect(damage.length).toBe(tensors.length - intact);
    const found = damage.find((d) => d.tensor === 15)!;
    expect(found.found).toBe(sums[15]);
  });

  it('finds a wrong checksum of a tensor without bytes', async () => {
    const { directory, tensors, sums } = await saved();
    const wrong = sums.map((sum, i) => (i === 0 ? 1 : sum));
    await expect(
      runLoad(
        loadProgram(
          directory,
          tensors,
          tensors.map(() => null),
          wrong,
        ),
      ),
    ).rejects.toMatchObject({
      code: 'DATA_LOSS',
    });
  });
});
