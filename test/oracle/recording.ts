import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runOracle } from '../support/oracle.ts';
import type { Observation, Scenario } from './steps.ts';

/**
 * What TensorFlow did, recorded in expected/*.json, so that ours is compared with it where no TensorFlow is too. Where
 * there is one, the recording itself is checked. `ORACLE_RECORD=1 npx vitest run test/oracle` makes it anew.
 */
export interface Recording {
  /** Hash of the steps that this was recorded from. */
  steps: string;
  observations: readonly Observation[];
}

/** An observation by what is new in it: fields that didn't change are left out, of the files only the changes stay. */
type Delta = Partial<Omit<Observation, 'files'>> & { files?: readonly string[] };

/** Runs the scenarios through TensorFlow, in one process. */
export async function runTensorFlow(scenarios: readonly Scenario[]): Promise<Map<string, Recording>> {
  const input = JSON.stringify(scenarios.map(({ name, steps }) => ({ name, steps })));
  const output = await runOracle(fileURLToPath(new URL('tf_runner.py', import.meta.url)), { input });
  const results = JSON.parse(output) as { name: string; observations: Observation[] }[];
  return new Map(
    results.map(({ name, observations }, i) => [name, { steps: hashOfSteps(scenarios[i]!), observations }]),
  );
}

/** Identifies what was run: the steps without our exceptions, which TensorFlow doesn't see. */
export function hashOfSteps(scenario: Scenario): string {
  const steps = scenario.steps.map(({ ours: _, ...step }) => step);
  return createHash('sha256').update(JSON.stringify(steps)).digest('hex').slice(0, 12);
}

export function readRecordings(group: string): Map<string, Recording> {
  const stored = JSON.parse(readFileSync(fileOf(group), 'utf8')) as Record<string, { steps: string; deltas: Delta[] }>;
  return new Map(
    Object.entries(stored).map(([name, { steps, deltas }]) => [name, { steps, observations: expand(deltas) }]),
  );
}

/** One line a step, so that a change of the recording can be read in a diff. */
export function writeRecordings(group: string, recordings: ReadonlyMap<string, Recording>): void {
  const blocks = [...recordings].map(([name, { steps, observations }]) => {
    const lines = compress(observations).map((delta) => `  ${JSON.stringify(delta)}`);
    return `${JSON.stringify(name)}: {"steps": "${steps}", "deltas": [\n${lines.join(',\n')}\n]}`;
  });
  writeFileSync(fileOf(group), `{\n${blocks.join(',\n')}\n}\n`);
}

function fileOf(group: string): string {
  return fileURLToPath(new URL(`expected/${group}.json`, import.meta.url));
}

const nothing: Observation = {
  result: null,
  latest: null,
  checkpoints: null,
  saveCounter: null,
  values: null,
  initCalls: 0,
  callbacks: [],
  states: {},
  files: [],
};

function compress(observations: readonly Observation[]): Delta[] {
  let before = nothing;
  return observations.map((now) => {
    const changed = (Object.keys(now) as (keyof Observation)[]).filter(
      (field) => JSON.stringify(now[field]) !== JSON.stringify(before[field]),
    );
    const delta: Delta = Object.fromEntries(changed.map((field) => [field, now[field]]));
    if (delta.files) {
      delta.files = [
        ...before.files.filter((file) => !now.files.includes(file)).map((file) => `-${file}`),
        ...now.files.filter((file) => !before.files.includes(file)).map((file) => `+${file}`),
      ];
    }
    before = now;
    return delta;
  });
}

function expand(deltas: readonly Delta[]): Observation[] {
  let before = nothing;
  return deltas.map((delta) => {
    const files = new Set(before.files);
    for (const change of delta.files ?? []) {
      if (change.startsWith('+')) files.add(change.slice(1));
      else files.delete(change.slice(1));
    }
    before = { ...before, ...delta, files: [...files].sort(byBytes) };
    return before;
  });
}

/** By code points, as Python sorts. */
export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
