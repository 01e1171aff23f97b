import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maskCrc } from '../../src/bundle/crc.ts';
import { IndexTable } from '../../src/bundle/index-table.ts';
import { parseIndex } from '../../src/bundle/parse-index.ts';
import { openTable } from '../../src/bundle/table-reader.ts';
import { WireReader } from '../../src/bundle/wire-reader.ts';
import { graphOfRows } from '../../src/checkpoint/read-object-graph.ts';
import { type IndexRows, type KeyColumns, readGraph, readIndex } from '../../src/native/decode.ts';
import { crc32c } from '../../src/native/engine.ts';
import { type DType, elementSize, elementSizes } from '../../src/tensor/dtypes.ts';
import { elementCount } from '../../src/tensor/shape.ts';
import { testDirectories } from '../support/directory.ts';
import { encodeGraph } from '../support/graph-writer.ts';
import { decodeGraph, type GraphNode, graphOf, nodesOf } from '../support/graphs.ts';
import { MessageWriter } from '../support/message-writer.ts';
import { encodeEntry, encodeHeader } from '../support/messages.ts';
import { type TableEntry, writeTable } from '../support/tables.ts';

const directory = testDirectories();

async function rowsOf(file: Uint8Array, seed = 7): Promise<IndexRows | undefined> {
  const path = join(directory(), 'x.index');
  writeFileSync(path, file);
  const { rows, bytes } = await readIndex(path, 2 ** 31, elementSizes(), seed);
  // What isn't read is handed over as it is.
  if (rows === undefined) expect(Buffer.compare(bytes!, file)).toBe(0);
  return rows;
}

/** That native and the parser in TypeScript say the same of a file that native has read. */
function expectSameIndex(rows: IndexRows, file: Uint8Array): IndexTable {
  const expected = parseIndex(file, { path: 'x' });
  const table = new IndexTable(rows);
  expect(rows.shards).toBe(expected.shardCount);
  expect([...table]).toEqual([...expected.entries]);
  expect(expected.parts.size).toBe(0);
  for (const [row, key] of [...table.keys()].entries()) expect(table.find(key)).toBe(row);
  for (const other of ['', 'a', 'zz/.ATTRIBUTES/VARIABLE_VALUE', 'ä']) {
    expect(table.has(other)).toBe(expected.entries.has(other));
  }
  return table;
}

interface Entry {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly shard: number;
  readonly offset: number;
  /** Masked. */
  readonly crc: number;
}

const natural = fc.oneof(
  fc.nat(200),
  fc.nat(2 ** 31 - 1),
  fc.nat(43).map((n) => 2 ** n),
);
const shape = fc.array(fc.oneof(fc.nat(3), fc.nat(2 ** 12)), { maxLength: 4 });
const plainKey = fc.oneof(
  fc.string({ minLength: 1, maxLength: 30 }),
  fc.nat(5000).map((n) => `layers/${n}/kernel/.ATTRIBUTES/VARIABLE_VALUE`),
);
const entry: fc.Arbitrary<Entry> = fc.record({
  dtype: fc.constantFrom<DType[]>('float32', 'int64', 'uint8', 'bfloat16', 'string', 'complex128'),
  shape,
  shard: fc.nat(2),
  offset: natural,
  crc: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
});
const tensors = fc.dictionary(plainKey, entry, { maxKeys: 40, noNullPrototype: true });

function indexOf(given: Record<string, Entry>, shards = 3): TableEntry[] {
  const table = Object.entries(given).map(([key, { dtype, shape, shard, offset, crc }]): TableEntry => {
    const writer = new MessageWriter();
    const size = dtype === 'string' ? 3 : elementCount(shape) * elementSize(dtype);
    encodeEntry(writer, { dtype, shape, shard, offset, size }, crc);
    return [Buffer.from(key), writer.view().slice()];
  });
  return [[new Uint8Array(0), encodeHeader(shards)], ...table.sort(([a], [b]) => Buffer.compare(a, b))];
}

/** Changes bytes and seals the blocks again, as somebody would who wants damage to be overlooked. */
function damaged(file: Uint8Array, changes: readonly (readonly [number, number])[]): Uint8Array {
  const blocks = openTable(file, true).map(({ handle }) => handle);
  const footer = new WireReader(file, file.length - 48);
  for (let i = 0; i < 2; i++) blocks.push({ offset: footer.varint(), size: footer.varint() });
  const changed = file.slice();
  for (const [at, byte] of changes) changed[at % (file.length - 48)] = byte;
  for (const { offset, size } of blocks) {
    const crc = maskCrc(crc32c(changed.subarray(offset, offset + size + 1)));
    new DataView(changed.buffer).setUint32(offset + size + 1, crc, true);
  }
  return changed;
}

const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });

describe('an index read by native', () => {
  it('is what the parser says, whatever keys, shapes and dtypes it has', async () => {
    await fc.assert(
      fc.asyncProperty(tensors, fc.integer({ min: 0, max: 2 ** 32 - 1 }), async (given, seed) => {
        const file = writeTable(indexOf(given));
        const rows = await rowsOf(file, seed);
        expect(rows?.dtype).toHaveLength(Object.keys(given).length);
        expectSameIndex(rows!, file);
      }),
      { numRuns: 200 },
    );
  });

  it('is what the parser says, or is left to it, where bytes were changed and sealed again', async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(tensors, changes, async (given, changes) => {
        const file = damaged(writeTable(indexOf(given)), changes);
        const rows = await rowsOf(file);
        if (rows === undefined) return;
        accepted++;
        expectSameIndex(rows, file);
      }),
      { numRuns: 2000 },
    );
    // Checksums, offsets and keys can be anything.
    expect(accepted).toBeGreaterThan(200);
  });

  it('is what the parser says, or is left to it, where pieces of entries are repeated or left out', async () => {
    let accepted = 0;
    const pieces = fc.array(fc.tuple(fc.nat(), fc.nat(12), fc.nat(40)), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(tensors, pieces, async (given, pieces) => {
        const table = indexOf(given);
        for (const [number, length, at] of pieces) {
          const [key, value] = table[number % table.length]!;
          const from = at % (value.length + 1);
          const piece = value.subarray(from, from + length);
          const end = number % 2 === 0 ? from : from + length;
          const changed = Buffer.concat([value.subarray(0, from + length), piece, value.subarray(end + length)]);
          table[number % table.length] = [key, changed];
        }
        const file = writeTable(table);
        const rows = await rowsOf(file);
        if (rows === undefined) return;
        accepted++;
        expectSameIndex(rows, file);
      }),
      { numRuns: 2000 },
    );
    expect(accepted).toBeGreaterThan(50);
  });

  it('is left to the parser where a block is changed, cut or from elsewhere', async () => {
    const file = writeTable(indexOf({ a: { dtype: 'float32', shape: [2], shard: 0, offset: 0, crc: 1 } }));
    for (let at = 0; at < file.length - 48; at++) {
      const changed = file.slice();
      changed[at]! ^= 0x10;
      expect(await rowsOf(changed), `byte ${at}`).toBeUndefined();
      expect(await rowsOf(file.subarray(at)), `from byte ${at}`).toSatisfy((rows) => at === 0 || rows === undefined);
      expect(await rowsOf(file.subarray(0, at)), `to byte ${at}`).toBeUndefined();
    }
  });

  it('has many blocks, whose keys are found', async () => {
    const one: Entry = { dtype: 'float32', shape: [2, 3], shard: 1, offset: 24, crc: 5 };
    const given = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`a/${i}/weight`, one]));
    const file = writeTable(indexOf(given));
    expect(openTable(file, true).length).toBeGreaterThan(2);
    expectSameIndex((await rowsOf(file))!, file);
  });

  it.each(['dtypes', 'keras-1', 'sharded', 'strings'])('TensorFlow’s %s is of the plain kind', async (name) => {
    const file = new Uint8Array(readFileSync(new URL(`../fixtures/${name}.index`, import.meta.url)));
    expectSameIndex((await rowsOf(file))!, file);
  });

  it('TensorFlow’s index of many tensors is of the plain kind', async () => {
    const file = new Uint8Array(gunzipSync(readFileSync(new URL('../fixtures/many.index.gz', import.meta.url))));
    expectSameIndex((await rowsOf(file))!, file);
  });

  it('leaves slices, keys beyond ASCII, other versions and unknown dtypes to the parser', async () => {
    const sliced = new Uint8Array(readFileSync(new URL('../fixtures/sliced.index', import.meta.url)));
    expect(await rowsOf(sliced)).toBeUndefined();
    const one: Entry = { dtype: 'float32', shape: [2], shard: 0, offset: 0, crc: 5 };
    expect(await rowsOf(writeTable(indexOf({ a: one, ä: one })))).toBeUndefined();
    expect(await rowsOf(writeTable(indexOf({ a: { ...one, shard: 3 } })))).toBeUndefined();
    const [header, ...rest] = indexOf({ a: one });
    expect(await rowsOf(writeTable(rest))).toBeUndefined();
    const versions = [
      [0x08, 3, 0x10, 1, 0x1a, 2, 0x08, 1],
      [0x08, 3, 0x1a, 2, 0x10, 2],
      [0x08, 3, 0x1a, 2, 0x18, 1],
      [0x08, 3, 0x20, 1],
    ];
    for (const version of versions) {
      expect(await rowsOf(writeTable([[header![0], Uint8Array.from(version)], ...rest]))).toBeUndefined();
    }
    // The parser reads both shapes, and the second one counts.
    const twice = Uint8Array.from([0x08, 1, 0x12, 1, 0x12, 0x12, 0, 0x28, 4]);
    expect(await rowsOf(writeTable([header!, [Buffer.from('a'), twice]]))).toBeUndefined();
    const unknown = Uint8Array.from([0x08, 20, 0x12, 0, 0x28, 4]);
    expect(await rowsOf(writeTable([header!, [Buffer.from('a'), unknown]]))).toBeUndefined();
  });

  it('leaves keys to the parser that take very much more memory than their file', async () => {
    const prefix = 'x'.repeat(60_000);
    const [header, value] = indexOf({ x: { dtype: 'uint8', shape: [], shard: 0, offset: 0, crc: 5 } }).map(
      ([, v]) => v,
    );
    // Every key has the first one's 60,000 characters, and the file has them once: no writer spaces restart points so far.
    const tableOf = (keys: number): Uint8Array => {
      const file = new MessageWriter();
      const entry = (shared: number, rest: Uint8Array, value: Uint8Array) => {
        for (const number of [shared, rest.length, value.length]) file.varint(number);
        file.append(rest);
        file.append(value);
      };
      const endBlock = (start: number): Uint8Array => {
        for (const number of [0, 1]) file.fixed32(number);
        const handle = new MessageWriter();
        for (const number of [start, file.length - start]) handle.varint(number);
        file.byte(0);
        file.fixed32(maskCrc(crc32c(file.view().subarray(start))));
        return handle.view().slice();
      };
      entry(0, new Uint8Array(0), header!);
      entry(0, Buffer.from(prefix), value!);
      for (let i = 0; i < keys; i++) entry(prefix.length, Buffer.from(String(i).padStart(4, '0')), value!);
      const data = endBlock(0);
      const metaindex = endBlock(file.length);
      const start = file.length;
      entry(0, Buffer.from('y'), data);
      const footer = new MessageWriter();
      for (const handle of [metaindex, endBlock(start)]) footer.append(handle);
      while (footer.length < 40) footer.byte(0);
      file.append(footer.view());
      file.append(Uint8Array.of(0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb));
      return file.view().slice();
    };
    expectSameIndex((await rowsOf(tableOf(9)))!, tableOf(9));
    expect(await rowsOf(tableOf(1000))).toBeUndefined();
  });

  it('that does not exist, or is too large, is an error that says so', async () => {
    const path = join(directory(), 'x.index');
    await expect(readIndex(path, 100, elementSizes(), 1)).rejects.toMatchObject({ code: 'NOT_FOUND', path });
    writeFileSync(path, new Uint8Array(101));
    await expect(readIndex(path, 100, elementSizes(), 1)).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
    await expect(readIndex(path, 100, new Uint8Array(3), 1)).rejects.toThrow(/wrong arguments/);
  });
});

describe('a graph read by native', () => {
  const name = fc.string({ maxLength: 20 });
  const node = fc.record({
    children: fc.array(fc.record({ nodeId: fc.nat(), localName: name }), { maxLength: 4 }),
    attributes: fc.array(
      fc.record({ name: fc.constantFrom('VARIABLE_VALUE', 'py_state', ''), checkpointKey: plainKey }),
      { maxLength: 2 },
    ),
    slots: fc.array(fc.record({ variable: fc.nat(), name, slot: fc.nat() }), { maxLength: 2 }),
    hasCheckpointValues: fc.constantFrom(undefined, true, false),
  });
  const nodes = fc.array(node, { minLength: 1, maxLength: 12 }).map((list): GraphNode[] =>
    list.map((each) => ({
      ...each,
      children: each.children.map((child) => ({ ...child, nodeId: child.nodeId % list.length })),
      slots: each.slots.map((slot) => ({
        ...slot,
        variable: slot.variable % list.length,
        slot: slot.slot % list.length,
      })),
    })),
  );
  const one: Entry = { dtype: 'float32', shape: [], shard: 0, offset: 0, crc: 5 };
  const indexWith = async (keys: readonly string[]) =>
    new IndexTable((await rowsOf(writeTable(indexOf(Object.fromEntries(keys.map((key) => [key, one]))))))!);

  const globalName = (row: number) => `variable_${row}`;

  /** That native and the parser in TypeScript say the same of a graph that native has read; false where it hasn't. */
  async function expectSameGraph(bytes: Uint8Array, index: IndexTable): Promise<boolean> {
    const rows = await readGraph(bytes, index.rows.keys);
    if (rows === null) return false;
    const graph = graphOfRows(bytes, rows);
    expect(nodesOf(graph)).toEqual(nodesOf(decodeGraph(bytes)));
    const keys = Array.from(rows.entryRows, (_, row) => graph.attributeKeys.at(row));
    expect([...rows.entryRows]).toEqual(keys.map((key) => index.find(key)));
    return true;
  }

  it('is what the parser says, with the rows of its keys', async () => {
    await fc.assert(
      fc.asyncProperty(nodes, fc.array(plainKey, { maxLength: 5 }), async (given, others) => {
        const keys = given.flatMap(({ attributes }) => attributes.map(({ checkpointKey }) => checkpointKey));
        const index = await indexWith([...keys.filter((_, i) => i % 3 > 0), ...others]);
        expect(await expectSameGraph(encodeGraph(graphOf(given), globalName), index)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('is what the parser says, or is left to it, where bytes were changed', async () => {
    const index = await indexWith(['a', 'layers/1/kernel/.ATTRIBUTES/VARIABLE_VALUE']);
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(nodes, changes, async (given, changes) => {
        const bytes = encodeGraph(graphOf(given), globalName).slice();
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        if (await expectSameGraph(bytes, index)) accepted++;
      }),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(200);
  });

  it('has names far apart from each other', async () => {
    const globalName = () => 'x'.repeat(1000);
    const given = Array.from(
      { length: 700 },
      (_, i): GraphNode => ({
        children: [{ nodeId: i, localName: `child ${i}` }],
        attributes: [{ name: 'VARIABLE_VALUE', checkpointKey: `a/${i}` }],
        slots: [],
      }),
    );
    const index = await indexWith(given.flatMap(({ attributes }) => attributes[0]!.checkpointKey));
    expect(await expectSameGraph(encodeGraph(graphOf(given), globalName), index)).toBe(true);
  });

  it.each(['cycle', 'nested', 'slots', 'keras'])('TensorFlow’s %s is of the plain kind', async (fixture) => {
    const bytes = new Uint8Array(
      readFileSync(new URL(`../fixtures/object-graph/${fixture}/graph.pb`, import.meta.url)),
    );
    expect(await expectSameGraph(bytes, await indexWith(['a']))).toBe(true);
  });

  it('leaves names beyond ASCII, savers and hundreds of attributes to the parser', async () => {
    const { keys } = (await indexWith(['a'])).rows;
    const leaf: GraphNode = { children: [], attributes: [], slots: [] };
    const read = (...given: GraphNode[]) => readGraph(encodeGraph(graphOf(given)), keys);
    const attribute = (name: string) => ({ name, checkpointKey: 'a' });
    expect(await read(leaf)).not.toBeNull();
    expect(await read({ ...leaf, children: [{ nodeId: 0, localName: 'ä' }] })).toBeNull();
    expect(await read({ ...leaf, registeredSaver: { name: 'x', objectName: 'y' } })).toBeNull();
    const many = (count: number) => Array.from({ length: count }, (_, i) => attribute(`attribute${i}`));
    expect(await read({ ...leaf, attributes: many(256) })).not.toBeNull();
    expect(await read({ ...leaf, attributes: many(257) })).toBeNull();
    expect(await readGraph(new Uint8Array(0), keys)).toBeNull();
  });

  it('is left to the parser where the keys make no sense, and the process lives on', async () => {
    const { keys } = (await indexWith(['a', 'b'])).rows;
    const given = graphOf([{ children: [], slots: [], attributes: [{ name: 'v', checkpointKey: 'b' }] }]);
    const bytes = encodeGraph(given);
    expect((await readGraph(bytes, keys))!.entryRows).toEqual(Int32Array.of(1));
    for (const wrong of [
      { slots: Uint32Array.of(1) },
      { slots: Uint32Array.of(0, 0, 0) },
      { slots: Uint32Array.of(0, 9) },
      { slots: new Uint32Array(0) },
      { start: new Uint32Array(0) },
      { start: Uint32Array.of(0, 1, 9) },
      { start: Uint32Array.of(0, 9, 2) },
      { text: new Uint8Array(1) },
    ] satisfies Partial<KeyColumns>[]) {
      expect(await readGraph(bytes, { ...keys, ...wrong }), JSON.stringify(wrong)).toBeNull();
    }
    const notText = readGraph(bytes, { ...keys, text: 'ab' as unknown as Uint8Array });
    await expect(notText).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
