import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import snappy from 'snappyjs';
import { afterAll, describe, expect, it } from 'vitest';
import { maskCrc } from '../../src/bundle/crc.ts';
import { decodeEntry } from '../../src/bundle/entry-decoder.ts';
import { listVariables, loadVariable, openBundle, openCheckpoint, verifyBundle } from '../../src/bundle/index.ts';
import { openTable, readBlock } from '../../src/bundle/table-reader.ts';
import { crc32c } from '../../src/native/engine.ts';
import type { HostTensor } from '../../src/tensor/host-tensor.ts';
import { MessageWriter } from '../support/message-writer.ts';
import { encodeEntry, encodeHeader } from '../support/messages.ts';
import { encodeSlicedEntry, readTable, writeTable } from '../support/tables.ts';

/** Checkpoints written by TensorFlow 2.21 (make_fixtures.py). */
const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'fixtures-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Expected {
  dtype: string;
  shape: number[];
  data: string | string[];
}

const fixture = (name: string) => join(fixtures, name);
const expected = (name: string): Record<string, Expected> => JSON.parse(readFileSync(fixture(`${name}.json`), 'utf8'));
const manyIndex = () => new Uint8Array(gunzipSync(readFileSync(fixture('many.index.gz'))));

function contents(tensor: HostTensor): Expected {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  const data = tensor.dtype === 'string' ? (tensor.data as Uint8Array[]).map(hex) : hex(tensor.bytes);
  return { dtype: tensor.dtype, shape: [...tensor.shape], data };
}

describe.each(['dtypes', 'strings', 'sliced', 'sharded', 'keras-1'])('the checkpoint %s of TensorFlow', (name) => {
  it('is read as TensorFlow reads it', async () => {
    const tensors = await (await openCheckpoint(fixture(name))).getTensors();
    expect(Object.fromEntries([...tensors].map(([key, tensor]) => [key, contents(tensor)]))).toEqual(expected(name));
  });

  it('verifies', async () => {
    const report = await verifyBundle(fixture(name));
    expect(report.problems).toEqual([]);
    expect(report.ok).toBe(true);
    expect(report.tensors).toBeGreaterThan(1);
  });

  it('lists its variables', async () => {
    const listed = await listVariables(fixture(name));
    const want = Object.entries(expected(name)).map(([n, { dtype, shape }]) => [n, dtype, shape]);
    expect(listed.map((v) => [v.name, v.dtype, [...v.shape]]).sort()).toEqual(want.sort());
  });
});

describe('the index that we write for the entries of TensorFlow’s', () => {
  const cases: Array<[string, () => Uint8Array]> = [
    ...['dtypes', 'strings', 'sliced', 'sharded', 'keras-1', 'variant'].map((name): [string, () => Uint8Array] => [
      name,
      () => new Uint8Array(readFileSync(fixture(`${name}.index`))),
    ]),
    ['many', manyIndex],
  ];
  it.each(cases)('is the same to the byte: %s', (name, load) => {
    const file = load();
    const entries = readTable(file);
    const shards = name === 'sharded' ? 3 : name === 'sliced' ? 2 : 1;
    const written = writeTable(
      entries.map(([key, value]) => {
        if (key.length === 0) return [key, encodeHeader(shards)];
        const entry = decodeEntry(value, shards);
        const writer = new MessageWriter();
        if (entry.slices.length > 0) encodeSlicedEntry(writer, entry);
        else encodeEntry(writer, entry, maskCrc(entry.crc32c));
        return [key, writer.view()];
      }),
    );
    expect(Buffer.from(written).toString('hex')).toBe(Buffer.from(file).toString('hex'));
  });

  it('has several data blocks where TensorFlow’s has', () => {
    expect(openTable(manyIndex(), true).length).toBeGreaterThan(2);
  });
});

describe('an index with compressed blocks', () => {
  it('is read as the same without', async () => {
    const prefix = join(scratch, 'many');
    writeFileSync(`${prefix}.index`, compressBlocks(manyIndex()));
    const plain = join(scratch, 'plain');
    writeFileSync(`${plain}.index`, manyIndex());
    const [found, want] = await Promise.all([openBundle(prefix), openBundle(plain)]);
    expect(found.entries.size).toBe(8000);
    expect([...found.entries]).toEqual([...want.entries]);
  });
});

/** The same table with every data block snappy-compressed. */
function compressBlocks(file: Uint8Array): Uint8Array {
  const blocks = openTable(file, true);
  const out = new MessageWriter();
  const index = new MessageWriter();
  const append = (bytes: Uint8Array, type: number) => {
    const offset = out.length;
    const framed = new Uint8Array([...bytes, type]);
    out.append(framed);
    out.fixed32(maskCrc(crc32c(framed)));
    return { offset, size: bytes.length };
  };
  const restarts: number[] = [];
  for (const { handle, separator } of blocks) {
    const compressed = append(snappy.compress(readBlock(file, handle).slice()), 1);
    const value = new MessageWriter();
    value.varint(compressed.offset);
    value.varint(compressed.size);
    restarts.push(index.length);
    index.varint(0);
    index.varint(separator.length);
    index.varint(value.length);
    index.append(separator);
    index.append(value.view());
  }
  const metaindex = append(Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0), 0);
  for (const restart of restarts) index.fixed32(restart);
  index.fixed32(restarts.length);
  const handle = append(index.view(), 0);
  const footer = new MessageWriter(48);
  for (const { offset, size } of [metaindex, handle]) {
    footer.varint(offset);
    footer.varint(size);
  }
  while (footer.length < 40) footer.byte(0);
  footer.append(file.subarray(file.length - 8));
  out.append(footer.view());
  return out.view();
}

describe('tensors that TensorFlow stored in slices', () => {
  it('are shown with their slices and without a place', async () => {
    const { variables } = await openCheckpoint(fixture('sliced'));
    expect(variables.get('rows')).toMatchObject({
      shard: null,
      offset: null,
      crc32c: null,
      byteLength: 96,
      slices: [
        [[0, 2], null],
        [[2, 3], null],
        [[5, 1], null],
      ],
    });
    expect([...variables.keys()]).toEqual(['cube', 'plain', 'rows', 'words']);
  });

  it('can be read by any slice that they cover together', async () => {
    const reader = await openCheckpoint(fixture('sliced'));
    for (const verify of [undefined, true, false]) {
      const cube = await reader.getTensor('cube', {
        slice: [
          [1, 2],
          [1, 2],
          [2, 3],
        ],
        verify,
      });
      const want: number[] = [];
      for (let i = 1; i < 3; i++) for (let j = 1; j < 3; j++) for (let k = 2; k < 5; k++) want.push(i * 15 + j * 5 + k);
      expect([...(cube.data as Int32Array)]).toEqual(want);
      const words = await reader.getTensor('words', {
        slice: [
          [0, 2],
          [1, 2],
        ],
        verify,
      });
      expect((words.data as Uint8Array[]).map((e) => Buffer.from(e).toString())).toEqual(['w01', 'w02', 'w11', 'w12']);
    }
  });
});

describe('a checkpoint with a variant tensor', () => {
  it('verifies, is listed, and says that variants can’t be read', async () => {
    expect(await verifyBundle(fixture('variant'))).toMatchObject({ ok: true, problems: [] });
    const reader = await openCheckpoint(fixture('variant'));
    expect(reader.variables.get('list')?.dtype).toBe('variant');
    expect([...(await reader.getTensors()).keys()]).toEqual(['plain']);
    await expect(loadVariable(fixture('variant'), 'list')).rejects.toMatchObject({ code: 'UNSUPPORTED', key: 'list' });
  });
});
