import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openBundle } from '../../src/bundle/index.ts';
import { everyTensor, patternTensor } from '../support/every-tensor.ts';
import { readInto } from '../support/read-bundle.ts';
import { entryOf, saveBundle } from '../support/save-bundle.ts';

const directory = mkdtempSync(join(tmpdir(), 'bundle-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const at = (name: string) => join(directory, name);

describe('what is saved is read back', () => {
  it('for every dtype and shape, whole and in several shards', async () => {
    const tensors = [...everyTensor(), patternTensor('complex128', [300, 301])];
    for (const shards of [1, 3]) {
      const prefix = at(`all-${shards}`);
      const entries = tensors.map((tensor, i) => entryOf(`t/${i}`, tensor));
      await saveBundle(entries, { prefix, shards });
      const bundle = await openBundle(prefix);
      expect(bundle.shardCount).toBe(shards);
      const read = await bundle.readTensors(bundle.entries.keys());
      tensors.forEach((tensor, i) => {
        const found = read.get(`t/${i}`)!;
        expect(found.dtype).toBe(tensor.dtype);
        expect(found.shape).toEqual(tensor.shape);
        expect(Buffer.compare(found.bytes, tensor.data)).toBe(0);
      });
    }
  });

  it('for strings, empty, long and binary ones', async () => {
    const data = ['', 'a', 'Ünïcödé ✓', 'x'.repeat(70_000)].map((text) => Buffer.from(text) as Uint8Array);
    data.push(Uint8Array.of(0, 255, 128), new Uint8Array(0));
    const prefix = at('strings');
    await saveBundle(
      [
        entryOf('s', { dtype: 'string', shape: [2, 3], data }),
        entryOf('scalar', { dtype: 'string', shape: [], data: ['text'] }),
        entryOf('none', { dtype: 'string', shape: [0], data: [] }),
      ],
      { prefix },
    );
    const bundle = await openBundle(prefix);
    const found = (await bundle.readTensor('s')).data as Uint8Array[];
    expect(found.map((e) => Buffer.from(e).toString('hex'))).toEqual(data.map((e) => Buffer.from(e).toString('hex')));
    expect((await bundle.readTensor('none')).data).toEqual([]);
    const slice = await bundle.readTensor('s', {
      slice: [
        [1, 1],
        [0, 2],
      ],
    });
    expect(slice.shape).toEqual([1, 2]);
    expect((slice.data as Uint8Array[]).map((e) => e.length)).toEqual([70_000, 3]);
  });

  it('in place, into the caller’s memory', async () => {
    const prefix = at('place');
    await saveBundle([entryOf('w', patternTensor('float32', [11, 13]))], { prefix });
    const into = new Uint8Array(11 * 13 * 4 + 8).subarray(4, 4 + 11 * 13 * 4);
    await readInto(await openBundle(prefix), 'w', into);
    expect(Buffer.compare(into, patternTensor('float32', [11, 13]).data)).toBe(0);
  });

  it('in place, and nothing beside memory that has become another meanwhile', async () => {
    const prefix = at('changing');
    await saveBundle([entryOf('w', patternTensor('float32', [100]))], { prefix });
    const bundle = await openBundle(prefix);
    // However late it changes: until it is asked for no more.
    for (let late = 0, refused = true; refused; late++) {
      const memory = new Uint8Array(800);
      let asked = 0;
      const into = () => memory.subarray(0, asked++ < late ? 400 : 200);
      const read = bundle.read({ length: 1, row: () => bundle.entries.find('w'), into });
      refused = await read.then(
        () => false,
        (error) => error.code === 'INVALID_ARGUMENT',
      );
      expect(refused).toBe(late < asked);
      expect(memory.subarray(refused ? 0 : 400).every((byte) => byte === 0)).toBe(true);
    }
  });

  it('slice by slice', async () => {
    const prefix = at('slice');
    const data = Float32Array.from({ length: 6 * 5 * 4 }, (_, i) => i);
    await saveBundle([entryOf('w', { dtype: 'float32', shape: [6, 5, 4], data })], { prefix });
    const bundle = await openBundle(prefix);
    for (const verify of [undefined, false, true]) {
      const found = await bundle.readTensor('w', { slice: [[1, 3], null, [2, 1]], verify });
      const expected: number[] = [];
      for (let i = 1; i < 4; i++) for (let j = 0; j < 5; j++) expected.push(i * 20 + j * 4 + 2);
      expect(found.shape).toEqual([3, 5, 1]);
      expect([...(found.data as Float32Array)]).toEqual(expected);
    }
  });

  it('with more runs than are read one by one', async () => {
    const prefix = at('runs');
    const shape = [200_000, 3];
    const data = Int32Array.from({ length: 600_000 }, (_, i) => i);
    await saveBundle([entryOf('w', { dtype: 'int32', shape, data })], { prefix });
    const bundle = await openBundle(prefix);
    for (const verify of [undefined, true]) {
      const found = await bundle.readTensor('w', { slice: [null, [1, 1]], verify });
      expect((found.data as Int32Array).every((value, i) => value === 3 * i + 1)).toBe(true);
    }
  });
});

describe('equal state', () => {
  it('gives equal files, whatever the order of the entries and the addresses', async () => {
    const tensors = [
      patternTensor('float32', [100, 300]),
      patternTensor('int8', [3]),
      patternTensor('float64', [2, 2]),
    ];
    const entries = tensors.map((tensor, i) => entryOf(`k${i}`, tensor));
    await saveBundle(entries, { prefix: at('one'), shards: 2 });
    const copies = tensors.map((tensor, i) => entryOf(`k${i}`, { ...tensor, data: tensor.data.slice() }));
    await saveBundle(copies.reverse(), { prefix: at('two'), shards: 2 });
    for (const suffix of ['.index', '.data-00000-of-00002', '.data-00001-of-00002']) {
      expect(readFileSync(at(`one${suffix}`)).equals(readFileSync(at(`two${suffix}`)))).toBe(true);
    }
  });
});
