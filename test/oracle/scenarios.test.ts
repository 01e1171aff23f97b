import { beforeAll, describe, expect, test } from 'vitest';
import { describeWithOracle } from '../support/oracle.ts';
import { expectSameAsTensorFlow } from './compare.ts';
import { type Recording, readRecordings, runTensorFlow, writeRecordings } from './recording.ts';
import { groups, scenarios } from './scenarios.ts';

describeWithOracle('what is recorded of TensorFlow', () => {
  let live: Map<string, Recording>;
  beforeAll(async () => {
    live = await runTensorFlow(scenarios);
  }, 300_000);

  for (const [group, members] of Object.entries(groups)) {
    test(`${group}: is what TensorFlow does`, () => {
      const now = new Map(members.map(({ name }) => [name, live.get(name)!]));
      if (process.env.ORACLE_RECORD) writeRecordings(group, now);
      expect(Object.fromEntries(readRecordings(group))).toEqual(Object.fromEntries(now));
    });
  }
});

for (const [group, members] of Object.entries(groups)) {
  describe(`our manager does as TensorFlow: ${group}`, () => {
    let recordings: Map<string, Recording>;
    beforeAll(() => {
      recordings = readRecordings(group);
    });
    for (const scenario of members) {
      test(scenario.name, () => expectSameAsTensorFlow(scenario, recordings.get(scenario.name)));
    }
  });
}

test('every scenario has a name of its own', () => {
  const names = scenarios.map(({ name }) => name);
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
});
