import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openCheckpoint, verifyBundle } from '../../src/bundle/index.ts';
import type { HostTensorInit } from '../../src/tensor/host-tensor.ts';
import { everyTensor, fixedDTypes, patternTensor, shapes } from '../support/every-tensor.ts';
import { describeWithOracle, runOracle } from '../support/oracle.ts';
import { entryOf, saveBundle } from '../support/save-bundle.ts';

interface Found {
  dtype: string;
  shape: number[];
  data: string | string[];
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

const strings: HostTensorInit[] = [
  { dtype: 'string', shape: [], data: ['text'] },
  { dtype: 'string', shape: [], data: [''] },
  { dtype: 'string', shape: [0], data: [] },
  { dtype: 'string', shape: [2, 0], data: [] },
  { dtype: 'string', shape: [2, 2], data: ['Grüße', '数据', '🦀', ''] },
  { dtype: 'string', shape: [2], data: [Uint8Array.from({ length: 256 }, (_, i) => i), Uint8Array.of(0)] },
  { dtype: 'string', shape: [3], data: ['a'.repeat(127), 'b'.repeat(128), 'c'.repeat(100_000)] },
];

describeWithOracle('what is written here is read by TensorFlow', () => {
  const directory = mkdtempSync(join(tmpdir(), 'interop-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const at = (name: string) => join(directory, name);

  const named: Array<readonly [string, HostTensorInit]> = [
    ...everyTensor().map((tensor) => [`${tensor.dtype}/${tensor.shape.join('x')}`, tensor] as const),
    ...strings.map((tensor, i) => [`string/${i}`, tensor] as const),
  ];
  const checkpoints: Record<string, Array<readonly [string, HostTensorInit]>> = {
    one: named,
    three: named,
    many: Array.from({ length: 9001 }, (_, i) => [`${(i * 7919) % 9001}/layer-${i}`, patternTensor('int16', [i % 5])]),
    // A prefix that was replaced: another count than the size asks for.
    replaced: named,
    unicode: [
      ['schlüssel/数据/🦀/￼', patternTensor('float32', [2])],
      ['a key with spaces', patternTensor('int8', [1])],
    ],
  };
  const merged: Array<readonly [string, HostTensorInit]> = [
    ...Array.from({ length: 5 }, (_, i) => [`left/${i}`, patternTensor('float32', [i, 300])] as const),
    ...Array.from({ length: 4 }, (_, i) => [`right/${i}`, patternTensor('int64', [i + 1])] as const),
  ];
  let found: Record<string, Record<string, Found>>;

  beforeAll(async () => {
    const save = (name: string, tensors: ReadonlyArray<readonly [string, HostTensorInit]>, shards?: number) =>
      saveBundle(
        tensors.map(([key, tensor]) => entryOf(key, tensor)),
        { prefix: at(name), shards, avoidShardCounts: name === 'replaced' ? new Set([1, 2]) : undefined },
      );
    for (const [name, tensors] of Object.entries(checkpoints))
      await save(name, tensors, name === 'three' ? 3 : undefined);
    await save('left', merged.slice(0, 5), 2);
    await save('right', merged.slice(5), 3);
    const output = await runOracle(fileURLToPath(new URL('./interop_check.py', import.meta.url)), {
      input: JSON.stringify({
        prefixes: Object.keys(checkpoints)
          .filter((name) => name !== 'many')
          .map(at),
        merge: { inputs: [at('left'), at('right'), at('many')], output: at('merged') },
      }),
    });
    found = JSON.parse(output.slice(output.indexOf('{')));
  }, 300_000);

  function expectEqual(name: string, tensors: ReadonlyArray<readonly [string, HostTensorInit]>): void {
    const want = tensors.map(([key, { dtype, shape, data }]) => {
      const elements = data as Array<string | Uint8Array>;
      const bytes = dtype === 'string' ? elements.map((e) => hex(Buffer.from(e as string))) : hex(data as Uint8Array);
      return [key, { dtype, shape, data: bytes }];
    });
    expect(found[at(name)]).toEqual(Object.fromEntries(want));
  }

  it(`with ${fixedDTypes.length} dtypes × ${shapes.length} shapes and strings, in one data file`, () => {
    expectEqual('one', named);
  });
  it('in several data files', () => expectEqual('three', named));
  it('under another shard count, as when a prefix is replaced', () => expectEqual('replaced', named));
  it('with keys beyond ASCII', () => expectEqual('unicode', checkpoints.unicode!));

  it('and merged by MergeV2Checkpoints, with thousands of keys over several index blocks', async () => {
    expectEqual('merged', [...merged, ...checkpoints.many!]);
    // And back: what TensorFlow merged is read here.
    expect(await verifyBundle(at('merged'))).toMatchObject({ ok: true, tensors: 9010 });
    const tensors = await (await openCheckpoint(at('merged'))).getTensors(merged.map(([key]) => key));
    for (const [key, { data }] of merged) expect(hex(tensors.get(key)!.bytes)).toBe(hex(data as Uint8Array));
  });
});
