import fc from 'fast-check';
import snappy from 'snappyjs';
import { describe, expect, it } from 'vitest';
import { areDisjoint, type Box, commonRuns, intersect, volume } from '../../src/bundle/boxes.ts';
import { maskCrc, unmaskCrc } from '../../src/bundle/crc.ts';
import { decodeEntry } from '../../src/bundle/entry-decoder.ts';
import { decodeHeader } from '../../src/bundle/messages.ts';
import { parseIndex } from '../../src/bundle/parse-index.ts';
import { encodeSliceKey } from '../../src/bundle/slice-keys.ts';
import { uncompress } from '../../src/bundle/snappy.ts';
import { storedStrings } from '../../src/bundle/strings.ts';
import { compareBytes } from '../../src/bundle/table-format.ts';
import { forEachEntry, openTable } from '../../src/bundle/table-reader.ts';
import { checkVariants } from '../../src/bundle/variants.ts';
import { WireReader } from '../../src/bundle/wire-reader.ts';
import { isCheckpointError } from '../../src/errors.ts';
import { MessageWriter } from '../support/message-writer.ts';
import { encodeEntry, encodeHeader } from '../support/messages.ts';
import { readStrings } from '../support/read-strings.ts';
import { shortestSeparator, shortSuccessor } from '../support/table-writer.ts';
import { readTable, type TableEntry, writeTable } from '../support/tables.ts';

const bytes = (maxLength = 200) => fc.uint8Array({ maxLength });
/** Numbers of every magnitude up to 2^53. */
const natural = fc.oneof(
  fc.nat(300),
  fc.maxSafeNat(),
  fc.nat(52).map((n) => 2 ** n),
  fc.nat(52).map((n) => 2 ** n - 1),
);
const integer = fc.oneof(
  natural,
  natural.map((n) => -n),
);

/** Runs a parser on anything: it may only succeed or fail with a CheckpointError. */
function survives(parse: () => void): void {
  try {
    parse();
  } catch (error) {
    if (!isCheckpointError(error)) throw error;
  }
}

describe('wire numbers', () => {
  it('come back as they were written', () => {
    fc.assert(
      fc.property(fc.array(integer), (numbers) => {
        const writer = new MessageWriter();
        for (const number of numbers) writer.varint(number);
        const reader = new WireReader(writer.view());
        for (const number of numbers) {
          expect(reader.int64()).toBe(number === 0 ? 0 : number);
        }
        expect(reader.done).toBe(true);
      }),
    );
  });

  it('are those of BigInt arithmetic', () => {
    fc.assert(
      fc.property(integer, (number) => {
        let rest = BigInt.asUintN(64, BigInt(number));
        const want: number[] = [];
        do {
          want.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
          rest >>= 7n;
        } while (rest > 0n);
        const writer = new MessageWriter();
        writer.varint(number);
        expect([...writer.view()]).toEqual(want);
      }),
    );
  });

  it('beyond 2^53, over-long or cut off are DATA_LOSS', () => {
    const over = [
      [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20],
      [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
      [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
      [0x80],
      [],
    ];
    for (const data of over) {
      expect(() => new WireReader(Uint8Array.from(data)).varint()).toThrow(
        expect.objectContaining({ code: 'DATA_LOSS' }),
      );
    }
    const max = new MessageWriter();
    max.varint(Number.MAX_SAFE_INTEGER);
    expect(new WireReader(max.view()).varint()).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe('every parser survives any bytes', () => {
  it('with nothing but CheckpointErrors', () => {
    fc.assert(
      fc.property(bytes(), fc.nat(20), (data, count) => {
        survives(() => decodeHeader(data));
        survives(() => decodeEntry(data, 3));
        survives(() => uncompress(data));
        survives(() => forEachEntry(data, () => {}));
        survives(() => openTable(data, true));
        survives(() => parseIndex(data, { path: 'x' }));
        survives(() => readStrings(data, count, null));
        survives(() => readStrings(data, count, 0));
        survives(() => checkVariants(data, count, 0));
      }),
      { numRuns: 3000 },
    );
  });

  it('also bytes that look right from afar: a footer over anything', () => {
    const magic = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb];
    fc.assert(
      fc.property(bytes(), fc.tuple(natural, natural, natural, natural), (body, numbers) => {
        const footer = new MessageWriter();
        for (const number of numbers) footer.varint(number);
        while (footer.length < 40) footer.byte(0);
        const file = Uint8Array.from([...body, ...footer.view().subarray(0, 40), ...magic]);
        survives(() => openTable(file, false));
      }),
    );
  });

  it('and snappy elements of any length', () => {
    // A literal that announces 2^31 bytes once made the decompressor loop for ever.
    expect(() => uncompress(Uint8Array.of(4, 0xfc, 0xff, 0xff, 0xff, 0xff, 1))).toThrow(
      expect.objectContaining({ code: 'DATA_LOSS' }),
    );
    fc.assert(
      fc.property(bytes(3000), (data) => {
        const compressed = snappy.compress(data);
        expect(Buffer.compare(uncompress(compressed), data)).toBe(0);
        survives(() => uncompress(compressed.subarray(0, compressed.length - 1)));
        survives(() => uncompress(Uint8Array.from([...compressed, 0])));
      }),
    );
  });
});

describe('messages', () => {
  const shape = fc.array(fc.oneof(fc.nat(3), fc.nat(300), fc.nat(100_000)), { maxLength: 3 });
  it('entries and headers come back as they were written', () => {
    fc.assert(
      fc.property(shape, fc.nat(9), natural, fc.integer({ min: 0, max: 0xffffffff }), (dims, shard, offset, crc) => {
        const size = dims.reduce((product, dimension) => product * dimension, 1);
        fc.pre(Number.isSafeInteger(offset + size));
        const writer = new MessageWriter();
        encodeEntry(writer, { dtype: 'uint8', shape: dims, shard, offset, size }, maskCrc(crc));
        // A field of a later version is skipped.
        writer.append(Uint8Array.of(0xfa, 0x01, 2, 1, 2, 0xf8, 0x01, 0x96, 1));
        const found = decodeEntry(writer.view(), 10);
        expect(found).toEqual({ dtype: 'uint8', shape: dims, shard, offset, size, crc32c: crc, slices: [] });
      }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 99_999 }), (shards) => {
        expect(decodeHeader(encodeHeader(shards)).shardCount).toBe(shards);
      }),
    );
    expect(Buffer.from(encodeHeader(1)).toString('hex')).toBe('08011a020801');
  });

  it('a masked checksum unmasks to itself', () => {
    expect(maskCrc(0)).toBe(0xa282ead8);
    fc.assert(fc.property(fc.integer({ min: 0, max: 0xffffffff }), (crc) => unmaskCrc(maskCrc(crc)) === crc));
  });
});

describe('tables', () => {
  it('come back as they were written', () => {
    const entry = fc.tuple(bytes(40), fc.oneof(bytes(40), bytes(200_000)));
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 60 }), (given) => {
        const byKey = new Map(given.map(([key, value]) => [Buffer.from(key).toString('hex'), [key, value] as const]));
        const entries = [...byKey.values()].sort(([a], [b]) => compareBytes(a, b));
        fc.pre(entries.length > 0);
        const found = readTable(writeTable(entries));
        const hex = (list: readonly TableEntry[]) =>
          list.map(([k, v]) => `${Buffer.from(k).toString('hex')}:${Buffer.from(v).toString('base64')}`);
        expect(hex(found)).toEqual(hex(entries));
      }),
      { numRuns: 60 },
    );
  });

  it('separators lie between their blocks', () => {
    fc.assert(
      fc.property(bytes(8), bytes(8), (a, b) => {
        fc.pre(compareBytes(a, b) !== 0);
        const [last, next] = compareBytes(a, b) < 0 ? [a, b] : [b, a];
        const separator = shortestSeparator(last, next);
        expect(compareBytes(last, separator)).toBeLessThanOrEqual(0);
        expect(compareBytes(separator, next)).toBeLessThan(0);
        expect(compareBytes(last, shortSuccessor(last))).toBeLessThanOrEqual(0);
      }),
    );
  });
});

describe('strings', () => {
  it('come back as they were written', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(bytes(5), bytes(300))), (elements) => {
        const { bytes: stored, checksum, count } = storedStrings(elements);
        const found = readStrings(stored, count, checksum);
        expect(found.map((e) => [...e])).toEqual(elements.map((e) => [...e]));
      }),
    );
  });

  it('a changed byte, another count or another length is DATA_LOSS', () => {
    const elements = [Buffer.from('ab'), Buffer.from('c'.repeat(200))];
    const { bytes: stored, checksum: crc } = storedStrings(elements);
    for (let at = 0; at < stored.length; at++) {
      const copy = stored.slice();
      copy[at]! ^= 4;
      expect(() => readStrings(copy, 2, crc)).toThrow(expect.objectContaining({ code: 'DATA_LOSS' }));
    }
    expect(() => readStrings(stored, 1, crc)).toThrow(expect.objectContaining({ code: 'DATA_LOSS' }));
    expect(() => readStrings(stored.subarray(1), 2, crc)).toThrow(expect.objectContaining({ code: 'DATA_LOSS' }));
  });
});

describe('slice keys', () => {
  it('are those of TensorFlow', () => {
    const key = encodeSliceKey('part', [[1, 1], null]);
    expect(Buffer.from(key).toString('hex')).toBe('0070617274000101028181807f');
  });

  it('of different slices differ, and keep the order of the starts', () => {
    const extent = fc.tuple(natural, natural);
    fc.assert(
      fc.property(fc.string(), extent, extent, (name, a, b) => {
        const order = compareBytes(encodeSliceKey(name, [a]), encodeSliceKey(name, [b]));
        const want = a[0] - b[0] || a[1] - b[1];
        expect(Math.sign(order)).toBe(Math.sign(want));
      }),
    );
  });
});

describe('boxes', () => {
  const pair = fc.integer({ min: 1, max: 4 }).chain((rank) => {
    const side = fc.tuple(fc.nat(4), fc.integer({ min: 1, max: 4 }));
    const box = fc
      .array(side, { minLength: rank, maxLength: rank })
      .map((sides): Box => ({ start: sides.map(([start]) => start), length: sides.map(([, length]) => length) }));
    return fc.tuple(box, box);
  });
  const index = (box: Box, point: number[]) =>
    point.reduce((sum, x, d) => sum * box.length[d]! + (x - box.start[d]!), 0);
  const points = (box: Box): number[][] =>
    box.length.reduce<number[][]>(
      (list, length, d) => list.flatMap((p) => Array.from({ length }, (_, i) => [...p, box.start[d]! + i])),
      [[]],
    );

  it('the runs of two boxes are exactly the elements they share', () => {
    fc.assert(
      fc.property(pair, ([part, target]) => {
        const common = intersect(part, target);
        const want = common === null ? [] : points(common).map((p) => [index(part, p), index(target, p)]);
        const runs = commonRuns(part, target);
        const found: number[][] = [];
        for (const [from, to] of runs.all()) for (let i = 0; i < runs.length; i++) found.push([from + i, to + i]);
        expect(found).toEqual(want);
        expect(runs.count * runs.length).toBe(common === null ? 0 : volume(common));
      }),
    );
  });

  it('are disjoint exactly if no two share an element', () => {
    fc.assert(
      fc.property(fc.array(pair, { minLength: 1, maxLength: 4 }), (pairs) => {
        const rank = pairs[0]![0].start.length;
        const boxes = pairs.flat().filter((box) => box.start.length === rank);
        const seen = boxes.flatMap((box) => points(box).map(String));
        expect(areDisjoint([...boxes])).toBe(new Set(seen).size === seen.length);
      }),
    );
  });

  it('scalars have one element in one run', () => {
    const scalar: Box = { start: [], length: [] };
    expect([...commonRuns(scalar, scalar).all()]).toEqual([[0, 0]]);
  });
});
