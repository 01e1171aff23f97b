import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BundleFiles } from '../../src/bundle/bundle-files.ts';
import { parseIndex } from '../../src/bundle/parse-index.ts';
import { StoredPieces } from '../../src/bundle/stored-pieces.ts';
import { PieceVerifier } from '../../src/bundle/verify-pieces.ts';
import { VerifyProblems } from '../../src/bundle/verify-problems.ts';
import type { HostTensorInit } from '../../src/tensor/host-tensor.ts';
import { testDirectories } from '../support/directory.ts';
import { patternTensor } from '../support/every-tensor.ts';
import { entryOf, saveBundle } from '../support/save-bundle.ts';

const directory = testDirectories();

const pattern = (...shape: number[]) => patternTensor('float32', shape);

/** A verifier of these tensors, what it finds, and how often it gave way: whenever it can. */
async function verifying(tensors: readonly HostTensorInit[]) {
  const prefix = join(directory(), 'x');
  const key = (i: number) => `t${String(i).padStart(5, '0')}`;
  await saveBundle(
    tensors.map((tensor, i) => entryOf(key(i), tensor)),
    { prefix, shards: 2 },
  );
  const index = parseIndex(readFileSync(`${prefix}.index`), { path: `${prefix}.index` });
  const problems = new VerifyProblems();
  const seen = { turns: 0 };
  const turns = {
    due: true,
    next: async () => {
      seen.turns++;
    },
  };
  const files = new BundleFiles(prefix, index.shardCount);
  const verifier = new PieceVerifier(new StoredPieces(index, []), files, problems, {}, turns);
  return { verifier, problems, seen, index };
}

describe('verifying what lies in the data files', () => {
  it('gives way between pieces, however many there are', async () => {
    const { verifier, problems, seen } = await verifying(Array.from({ length: 1000 }, () => pattern(3)));
    expect(await verifier.run(true)).toEqual({ tensors: 1000, bytes: 12_000 });
    expect(problems.list).toEqual([]);
    // To find the files' ends, to compare with their sizes, and to plan the reads: 64 at a time.
    expect(seen.turns).toBe(3 * Math.ceil(1000 / 64));
  });

  it('reads very many strings, and finds the one that is damaged', async () => {
    const strings = Array.from({ length: 1000 }, (_, i) => ({
      dtype: 'string' as const,
      shape: [1],
      data: [`no. ${i}`],
    }));
    const { verifier, problems, seen, index } = await verifying(strings);
    index.entries.rows.crc32c[700]! ^= 1;
    expect(await verifier.run(true)).toMatchObject({ tensors: 1000 });
    expect(problems.list).toMatchObject([{ code: 'DATA_LOSS', key: 't00700' }]);
    // As above, to hand over the memory that is read into, and once for each to sum it.
    expect(seen.turns).toBeGreaterThan(3 * Math.ceil(1000 / 64) + 1000);
  });

  it('finds nothing wrong with tensors without elements', async () => {
    const { verifier, problems } = await verifying([pattern(0), pattern(0, 7)]);
    expect(await verifier.run(true)).toEqual({ tensors: 2, bytes: 0 });
    expect(problems.list).toEqual([]);
  });

  it('reports a tensor without elements that has a checksum', async () => {
    const { verifier, problems, index } = await verifying([pattern(0), pattern(2)]);
    index.entries.rows.crc32c[0] = 5;
    expect(await verifier.run(true)).toEqual({ tensors: 2, bytes: 8 });
    expect(problems.list).toMatchObject([{ code: 'DATA_LOSS', key: 't00000', offset: 0 }]);
    expect(problems.list[0]!.message).toMatch(/it is empty/);
  });
});
