import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openBundle } from '../../src/bundle/index.ts';
import { Checkpoint, Counter } from '../../src/checkpoint/index.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';
import { testDirectories } from '../support/directory.ts';

/** A tree to be made several times: with its values, and empty. */
type Tree =
  | { kind: 'tensor'; values: number[] }
  | { kind: 'strings'; values: string[] }
  | { kind: 'counter'; value: number }
  | { kind: 'state'; text: string }
  | { kind: 'list'; items: Tree[] }
  | { kind: 'object'; entries: [string, Tree][] };

const name = fc.oneof(
  fc.constantFrom('a', 'b.c', 'd/e', '.S', '..', '.ATTRIBUTES', 'VARIABLE_VALUE', '_', 'é', '\u{1f600}', '-1'),
  fc
    .string({ minLength: 1, maxLength: 6, unit: 'binary' })
    .filter((text) => !text.includes('\0') && !/^\d+$/.test(text)),
);
const { tree } = fc.letrec<{ tree: Tree; object: Tree }>((tie) => ({
  object: fc.record({
    kind: fc.constant('object' as const),
    entries: fc.uniqueArray(fc.tuple(name, tie('tree') as fc.Arbitrary<Tree>), {
      selector: ([key]) => key,
      maxLength: 4,
    }),
  }) as fc.Arbitrary<Tree>,
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({
      kind: fc.constant('tensor' as const),
      values: fc.array(fc.integer({ min: 0, max: 99 }), { maxLength: 5 }),
    }),
    fc.record({ kind: fc.constant('strings' as const), values: fc.array(fc.string(), { maxLength: 3 }) }),
    fc.record({ kind: fc.constant('counter' as const), value: fc.maxSafeInteger() }),
    fc.record({
      kind: fc.constant('state' as const),
      text: fc.string({ unit: 'binary' }).filter((t) => t.isWellFormed()),
    }),
    fc.record({
      kind: fc.constant('list' as const),
      items: fc.array(tie('tree') as fc.Arbitrary<Tree>, { maxLength: 4 }),
    }),
    tie('object') as fc.Arbitrary<Tree>,
  ) as fc.Arbitrary<Tree>,
}));
const root = fc
  .uniqueArray(fc.tuple(name, tree), { selector: ([key]) => key, minLength: 1, maxLength: 5 })
  .filter((entries) => entries.every(([key]) => key !== 'save_counter' && key !== '__proto__'));

function make(of: Tree, empty: boolean): unknown {
  switch (of.kind) {
    case 'tensor': {
      const data = Float32Array.from(of.values, (value) => (empty ? 0 : value));
      return new HostTensor({ dtype: 'float32', shape: [data.length], data });
    }
    case 'strings':
      return new HostTensor({
        dtype: 'string',
        shape: [of.values.length],
        data: of.values.map((text) => (empty ? '' : text)),
      });
    case 'counter':
      return new Counter(empty ? 0 : of.value);
    case 'state': {
      let text = empty ? '' : of.text;
      return {
        serialize: () => text,
        deserialize(restored: string) {
          text = restored;
        },
      };
    }
    case 'list':
      return of.items.map((item) => make(item, empty));
    default:
      return Object.fromEntries(of.entries.map(([key, item]) => [key, make(item, empty)]));
  }
}

const objects = (entries: [string, Tree][], empty: boolean) =>
  make({ kind: 'object', entries }, empty) as Record<string, unknown>;

/** What two trees are compared by. */
function contents(value: unknown): unknown {
  if (value instanceof HostTensor) {
    return value.dtype === 'string'
      ? (value.data as Uint8Array[]).map((bytes) => Buffer.from(bytes).toString('hex'))
      : [...(value.data as Float32Array)];
  }
  if (value instanceof Counter) return value.value;
  if (Array.isArray(value)) return value.map(contents);
  const { serialize } = value as { serialize?: () => string };
  if (typeof serialize === 'function') return `state ${serialize()}`;
  return Object.fromEntries(Object.entries(value as object).map(([key, item]) => [key, contents(item)]));
}

describe('any tree', () => {
  it('is restored as it was saved, and consumed whole, whatever its names', async () => {
    await fc.assert(
      fc.asyncProperty(
        root,
        fc.integer({ min: 1, max: 4 }),
        fc.constantFrom(undefined, true, false),
        async (entries, shards, atomic) => {
          const where = mkdtempSync(join(tmpdir(), 'tensor-checkpoint-'));
          try {
            const saved = objects(entries, false);
            const path = await new Checkpoint(saved).write(join(where, 'x'), { shards, durable: false });
            const restored = objects(entries, true);
            (await new Checkpoint(restored).read(path, { atomic })).assertConsumed();
            expect(contents(restored)).toEqual(contents(saved));
          } finally {
            rmSync(where, { recursive: true });
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('memory that can not be saved', () => {
  const directory = testDirectories();

  it('is refused by name: shared, and transferred', async () => {
    const shared = new HostTensor({ dtype: 'uint8', shape: [4], data: new Uint8Array(new SharedArrayBuffer(4)) });
    const write = (objects: Record<string, unknown>) => new Checkpoint(objects).write(join(directory(), 'x'));
    await expect(write({ deep: { shared } })).rejects.toThrow(/deep\/shared.*SharedArrayBuffer/);
    const data = new Uint8Array(4);
    const moved = new HostTensor({ dtype: 'uint8', shape: [4], data });
    structuredClone(data.buffer, { transfer: [data.buffer] });
    await expect(write({ moved })).rejects.toThrow(/moved.*transferred/);
  });
});

describe('many tensors', () => {
  it('twenty thousand, over several blocks of the index, come back', async () => {
    const where = mkdtempSync(join(tmpdir(), 'tensor-checkpoint-'));
    try {
      const count = 20_000;
      const many = (scale: number) =>
        Array.from(
          { length: count },
          (_, i) => new HostTensor({ dtype: 'int32', shape: [1], data: new Int32Array([i * scale]) }),
        );
      const path = await new Checkpoint({ many: many(1) }).write(join(where, 'x'));
      expect((await openBundle(path)).entries.size).toBe(count + 1);
      const fresh = many(0);
      (await new Checkpoint({ many: fresh }).read(path)).assertConsumed();
      expect(fresh.every((tensor, i) => (tensor.data as Int32Array)[0] === i)).toBe(true);
    } finally {
      rmSync(where, { recursive: true });
    }
  });
});
