import { randomInt } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { describeWithOracle } from '../support/oracle.ts';
import { expectSameAsTensorFlow } from './compare.ts';
import { randomWalk } from './random-walk.ts';
import { type Recording, readRecordings, runTensorFlow, writeRecordings } from './recording.ts';

const recorded = Array.from({ length: 120 }, (_, i) => randomWalk(i + 1));

describeWithOracle('what is recorded of TensorFlow on random walks', () => {
  test('is what TensorFlow does', { timeout: 300_000 }, async () => {
    const now = await runTensorFlow(recorded);
    if (process.env.ORACLE_RECORD) writeRecordings('walks', now);
    expect(Object.fromEntries(readRecordings('walks'))).toEqual(Object.fromEntries(now));
  });
});

describe('our manager does as TensorFlow on random walks', () => {
  let recordings: Map<string, Recording>;
  beforeAll(() => {
    recordings = readRecordings('walks');
  });
  for (const walk of recorded) {
    test(walk.name, () => expectSameAsTensorFlow(walk, recordings.get(walk.name), { collapseShards: true }));
  }
});

describeWithOracle('our manager does as TensorFlow on walks that nobody has seen', () => {
  // ORACLE_SEED repeats a failure, ORACLE_WALKS says how many.
  const first = Number(process.env.ORACLE_SEED ?? randomInt(1_000, 1_000_000_000));
  const walks = Array.from({ length: Number(process.env.ORACLE_WALKS ?? 40) }, (_, i) => randomWalk(first + i));
  test(`seeds ${first} to ${first + walks.length - 1}`, { timeout: 300_000 }, async () => {
    const live = await runTensorFlow(walks);
    for (const [i, walk] of walks.entries()) {
      const hint = `\nORACLE_SEED=${first + i} repeats this as the first walk.`;
      await expectSameAsTensorFlow(walk, live.get(walk.name), { collapseShards: true, hint });
    }
  });
});
