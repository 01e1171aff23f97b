import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { maskCrc } from '../../src/bundle/crc.ts';
import { openBundle, verifyBundle } from '../../src/bundle/index.ts';
import { encodeSliceKey } from '../../src/bundle/slice-keys.ts';
import { isCheckpointError } from '../../src/errors.ts';
import { crc32c } from '../../src/native/engine.ts';
import type { DType } from '../../src/tensor/dtypes.ts';
import { MessageWriter } from '../support/message-writer.ts';
import { encodeEntry, encodeHeader } from '../support/messages.ts';
import { readInto } from '../support/read-bundle.ts';
import { entryOf, saveBundle } from '../support/save-bundle.ts';
import { encodeSlicedEntry, writeTable } from '../support/tables.ts';

const directory = mkdtempSync(join(tmpdir(), 'damage-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const prefix = join(directory, 'ck');
const victim = join(directory, 'victim');
const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));

const TENSORS = {
  a: { dtype: 'float32' as DType, shape: [3], data: Float32Array.of(1, 2, 3) },
  'b/.ATTRIBUTES/VARIABLE_VALUE': { dtype: 'int8' as DType, shape: [5], data: Int8Array.of(1, 2, 3, 4, 5) },
  empty: { dtype: 'int64' as DType, shape: [0], data: new BigInt64Array(0) },
  s: { dtype: 'string' as DType, shape: [2], data: ['hello', ''] },
};
/** Files of the checkpoint: suffix → content. */
const files = new Map<string, Buffer>();

beforeAll(async () => {
  const entries = Object.entries(TENSORS).map(([key, tensor]) => entryOf(key, tensor));
  await saveBundle(entries, { prefix, shards: 2 });
  for (const name of readdirSync(directory)) files.set(name.slice(2), readFileSync(join(directory, name)));
});

/** Writes the checkpoint with one file changed (null: missing) and returns its prefix. */
function damaged(suffix: string, change: (bytes: Buffer) => Buffer | null): string {
  for (const [name, bytes] of files) {
    const content = name === suffix ? change(Buffer.from(bytes)) : bytes;
    if (content === null) rmSync(victim + name, { force: true });
    else writeFileSync(victim + name, content);
  }
  return victim;
}

/** Reads every tensor: either it fails with a CheckpointError or it is right. */
async function neverWrong(path: string): Promise<void> {
  try {
    const tensors = await (await openBundle(path)).readTensors(Object.keys(TENSORS));
    for (const [key, { data }] of Object.entries(TENSORS)) {
      const found = tensors.get(key)!.data as ArrayLike<unknown>;
      const plain = Array.from(found, (e) => (e instanceof Uint8Array ? Buffer.from(e).toString() : e));
      expect(plain).toEqual(Array.from<unknown>(data));
    }
  } catch (error) {
    if (!isCheckpointError(error)) throw error;
  }
}

describe('verifyBundle', () => {
  it('finds nothing in a whole checkpoint, and counts what it read', async () => {
    expect(await verifyBundle(prefix)).toMatchObject({ ok: true, problems: [], tensors: 4 });
  });

  it('finds every flipped bit of the index and of the tensors, and no flip is ever returned as data', async () => {
    for (const [suffix, bytes] of files) {
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const path = damaged(suffix, (copy) => {
          copy[bit >> 3]! ^= 1 << (bit & 7);
          return copy;
        });
        const report = await verifyBundle(path);
        expect(report.ok, `bit ${bit} of ${suffix}`).toBe(false);
        const { code, file } = report.problems[0]!;
        expect(code, `bit ${bit} of ${suffix}`).toBe('DATA_LOSS');
        expect(file).toBe(victim + suffix);
        if (bit % 8 === 3) await neverWrong(path);
      }
    }
  }, 300_000);

  it('finds every truncation and extension', async () => {
    for (const [suffix, bytes] of files) {
      const isIndex = suffix === '.index';
      for (let length = 0; length < bytes.length; length++) {
        const path = damaged(suffix, (copy) => copy.subarray(0, length));
        const { problems } = await verifyBundle(path);
        expect(problems[0]?.code, `${length} bytes of ${suffix}`).toBe(isIndex ? 'DATA_LOSS' : 'OUT_OF_RANGE');
        await neverWrong(path);
      }
      for (const more of [Buffer.of(0), Buffer.of(7, 7), Buffer.alloc(4096)]) {
        const { problems } = await verifyBundle(damaged(suffix, (copy) => Buffer.concat([copy, more])));
        expect(problems.map((problem) => problem.code)).toEqual([isIndex ? 'DATA_LOSS' : 'OUT_OF_RANGE']);
      }
    }
  });

  it('reports missing files as NOT_FOUND, naming the file', async () => {
    for (const suffix of files.keys()) {
      const report = await verifyBundle(damaged(suffix, () => null));
      expect(report.problems.map(({ code, file }) => [code, file])).toEqual([['NOT_FOUND', victim + suffix]]);
    }
    expect((await verifyBundle(join(directory, 'nothing'))).problems[0]?.code).toBe('NOT_FOUND');
  });

  it('rejects only when aborted', async () => {
    await expect(verifyBundle(prefix, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('finds every flipped byte of sliced, variant and string tensors of TensorFlow', async () => {
    for (const name of ['sliced', 'variant', 'strings']) {
      const copies = readdirSync(fixtures).filter((file) => file.startsWith(`${name}.`) && !file.endsWith('.json'));
      for (const file of copies) copyFileSync(join(fixtures, file), join(directory, file));
      for (const file of copies) {
        const bytes = readFileSync(join(fixtures, file));
        for (let at = 0; at < bytes.length; at++) {
          const copy = Buffer.from(bytes);
          copy[at]! ^= 1 << (at % 8);
          writeFileSync(join(directory, file), copy);
          expect((await verifyBundle(join(directory, name))).ok, `${file} byte ${at}`).toBe(false);
        }
        writeFileSync(join(directory, file), bytes);
      }
      expect((await verifyBundle(join(directory, name))).ok).toBe(true);
    }
  }, 300_000);
});

describe('reading', () => {
  it('names file, key and offset of damaged bytes, and the keys whose memory was written to', async () => {
    const bundle = await openBundle(prefix);
    const { shard, offset } = bundle.info('a');
    const suffix = bundle.dataPath(shard!).slice(prefix.length);
    const path = damaged(suffix, (copy) => {
      copy[offset! + 5]! ^= 1;
      return copy;
    });
    const into = new Uint8Array(12);
    const failure = await readInto(await openBundle(path), 'a', into).catch((error) => error);
    expect(failure).toMatchObject({ code: 'DATA_LOSS', key: 'a', path: path + suffix, overwritten: ['a'] });
    await readInto(await openBundle(path), 'a', into, { verify: false });
  });

  it('tells a truncated data file before any memory is written to', async () => {
    const bundle = await openBundle(prefix);
    const suffix = bundle.dataPath(bundle.info('a').shard!).slice(prefix.length);
    const path = damaged(suffix, (copy) => copy.subarray(0, 4));
    const into = new Uint8Array(12);
    await expect(readInto(await openBundle(path), 'a', into)).rejects.toMatchObject({
      code: 'DATA_LOSS',
      key: 'a',
    });
    expect(into.every((byte) => byte === 0)).toBe(true);
  });

  it('reports a missing data file and a missing index as NOT_FOUND', async () => {
    const bundle = await openBundle(damaged('.data-00001-of-00002', () => null));
    const key = [...bundle.entries].find(([, info]) => info.shard === 1)![0];
    await expect(bundle.readTensor(key)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(openBundle(join(directory, 'no'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('sums the whole tensor where a slice is asked to be verified', async () => {
    const bundle = await openBundle(prefix);
    const { shard, offset } = bundle.info('a');
    const suffix = bundle.dataPath(shard!).slice(prefix.length);
    const opened = await openBundle(
      damaged(suffix, (copy) => {
        copy[offset! + 11]! ^= 1;
        return copy;
      }),
    );
    expect([...((await opened.readTensor('a', { slice: [[0, 2]] })).data as Float32Array)]).toEqual([1, 2]);
    await expect(opened.readTensor('a', { slice: [[0, 2]], verify: true })).rejects.toMatchObject({
      code: 'DATA_LOSS',
    });
  });
});

/** An index with these entries, and no data files. */
function index(
  entries: Array<[key: Uint8Array | string, value: Uint8Array]>,
  header: Uint8Array = encodeHeader(1),
): string {
  const path = join(directory, 'made');
  const table = entries.map(([key, value]) => [Buffer.from(key as Uint8Array), value] as const);
  writeFileSync(`${path}.index`, writeTable([[Buffer.of(), header], ...table]));
  return path;
}

function entry(fields: { dtype: DType; shape: number[]; shard?: number; offset?: number; size: number }): Uint8Array {
  const writer = new MessageWriter();
  encodeEntry(writer, { shard: 0, offset: 0, ...fields }, maskCrc(0));
  return writer.view();
}

describe('an index with sound checksums that says what can’t be', () => {
  const bad: Array<[string, () => string, string]> = [
    [
      'a size that is not the shape’s',
      () => index([['k', entry({ dtype: 'float32', shape: [3], size: 11 })]]),
      'DATA_LOSS',
    ],
    [
      'a shard that doesn’t exist',
      () => index([['k', entry({ dtype: 'int8', shape: [1], shard: 1, size: 1 })]]),
      'DATA_LOSS',
    ],
    ['a negative offset', () => index([['k', entry({ dtype: 'int8', shape: [1], offset: -1, size: 1 })]]), 'DATA_LOSS'],
    ['a negative dimension', () => index([['k', entry({ dtype: 'int8', shape: [-1], size: 1 })]]), 'DATA_LOSS'],
    [
      'a shape that overflows',
      () => index([['k', entry({ dtype: 'int8', shape: [2 ** 30, 2 ** 30, 0], size: 0 })]]),
      'DATA_LOSS',
    ],
    [
      'no header',
      () => {
        writeFileSync(
          join(directory, 'made.index'),
          writeTable([[Buffer.from('k'), entry({ dtype: 'int8', shape: [], size: 1 })]]),
        );
        return join(directory, 'made');
      },
      'DATA_LOSS',
    ],
    ['a dtype that is not known', () => index([['k', Uint8Array.of(0x08, 99)]]), 'UNSUPPORTED'],
    ['big-endian data', () => index([], Uint8Array.of(0x08, 1, 0x10, 1)), 'UNSUPPORTED'],
    ['a version that excludes ours', () => index([], Uint8Array.of(0x08, 1, 0x1a, 2, 0x10, 2)), 'UNSUPPORTED'],
    ['a version that names ours as bad', () => index([], Uint8Array.of(0x08, 1, 0x1a, 3, 0x1a, 1, 1)), 'UNSUPPORTED'],
    [
      'a key that is not UTF-8',
      () => index([[Uint8Array.of(0xff), entry({ dtype: 'int8', shape: [], size: 1 })]]),
      'DATA_LOSS',
    ],
  ];
  it.each(bad)('%s is refused', async (_, make, code) => {
    const path = make();
    await expect(openBundle(path)).rejects.toMatchObject({ code, path: `${path}.index` });
    expect((await verifyBundle(path)).problems[0]).toMatchObject({ code, file: `${path}.index` });
  });

  it('a tensor larger than its file is refused before memory is set aside', async () => {
    const path = index([['k', entry({ dtype: 'int8', shape: [2 ** 31], size: 2 ** 31 })]]);
    writeFileSync(`${path}.data-00000-of-00001`, 'short');
    await expect((await openBundle(path)).readTensor('k')).rejects.toMatchObject({ code: 'DATA_LOSS', key: 'k' });
  });

  it('a tensor too large for one ArrayBuffer is to be read by slices', async () => {
    const path = index([['k', entry({ dtype: 'float64', shape: [2 ** 40], size: 2 ** 43 })]]);
    const bundle = await openBundle(path);
    expect(bundle.info('k').byteLength).toBe(2 ** 43);
    await expect(bundle.readTensor('k')).rejects.toMatchObject({ code: 'OUT_OF_RANGE', key: 'k' });
  });

  it('slices that overlap, are missing or leave a gap are damage', async () => {
    const data = Uint8Array.of(1, 2, 3, 4);
    const part = (start: number, length: number): [Uint8Array, Uint8Array] => {
      const writer = new MessageWriter();
      const crc = maskCrc(crc32c(data.subarray(start, start + length)));
      encodeEntry(writer, { dtype: 'uint8', shape: [length], shard: 0, offset: start, size: length }, crc);
      return [encodeSliceKey('k', [[start, length]]), writer.view()];
    };
    const full = (...slices: Array<[number, number]>): [string, Uint8Array] => {
      const writer = new MessageWriter();
      encodeSlicedEntry(writer, { dtype: 'uint8', shape: [4], shard: 0, slices: slices.map((slice) => [slice]) });
      return ['k', writer.view()];
    };
    const read = async (entries: Array<[string | Uint8Array, Uint8Array]>) => {
      const path = index(entries);
      writeFileSync(`${path}.data-00000-of-00001`, data);
      return { path, tensor: await (await openBundle(path)).readTensor('k') };
    };
    const whole = await read([part(0, 2), part(2, 2), full([0, 2], [2, 2])]);
    expect([...(whole.tensor.data as Uint8Array)]).toEqual([1, 2, 3, 4]);
    expect((await verifyBundle(whole.path)).ok).toBe(true);
    for (const entries of [
      [part(0, 2), full([0, 2])],
      [part(0, 2), full([0, 2], [2, 2])],
      [part(0, 3), part(2, 2), full([0, 3], [2, 2])],
    ]) {
      await expect(read(entries)).rejects.toMatchObject({ code: 'DATA_LOSS', key: 'k' });
      const { problems } = await verifyBundle(join(directory, 'made'));
      expect(problems.some(({ code, key }) => code === 'DATA_LOSS' && key === 'k')).toBe(true);
    }
  });
});
