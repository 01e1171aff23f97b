import { expect } from 'vitest';
import { type OurRun, runOurs } from './our-runner.ts';
import { hashOfSteps, type Recording } from './recording.ts';
import type { Observation, Scenario } from './steps.ts';

export interface CompareOptions {
  /** Compare files with complete sets of data files written as one name, whatever their count. */
  collapseShards?: boolean;
  /** Printed with a difference. */
  hint?: string;
}

/** Runs a scenario through ours and expects what TensorFlow did, but for the exceptions on its steps. */
export async function expectSameAsTensorFlow(
  scenario: Scenario,
  recording: Recording | undefined,
  options: CompareOptions = {},
): Promise<void> {
  if (recording?.steps !== hashOfSteps(scenario)) {
    throw new Error(`expected/ has no recording of "${scenario.name}" as it is now: ORACLE_RECORD=1 makes one`);
  }
  const ours = await runOurs(scenario);
  for (const [number, step] of scenario.steps.entries()) {
    const theirs = recording.observations[number]!;
    const context = describeStep(scenario, number, ours, options.hint);
    let expected = theirs;
    if (step.ours) {
      const { point, warns, expect: change = {} } = step.ours;
      for (const field of Object.keys(change) as (keyof Observation)[]) {
        expect(change[field], `${context}\nthe exception of point ${point} is none: ${field} equals`).not.toEqual(
          theirs[field],
        );
      }
      expected = { ...theirs, ...change };
      if (warns !== undefined) {
        const heard = ours.warnings[number]!.join('\n').toLowerCase();
        expect(heard, `${context}\nwarns, point ${point}`).toContain(warns.toLowerCase());
      }
    }
    expect(seen(ours.observations[number]!, options), context).toEqual(seen(expected, options));
  }
}

function seen(observation: Observation, options: CompareOptions): Observation {
  return options.collapseShards ? { ...observation, files: collapse(observation.files) } : observation;
}

/**
 * `p.data-00000-of-00002` and `p.data-00001-of-00002` become `p.data (whole)`. A prefix that is replaced gets another
 * shard count here and the same there; anything incomplete, or a second set, stays visible.
 */
function collapse(files: readonly string[]): string[] {
  const sets = new Map<string, string[]>();
  const collapsed: string[] = [];
  for (const file of files) {
    const match = /^(.*)\.data-\d{5}-of-(\d{5})$/.exec(file);
    if (!match) collapsed.push(file);
    else sets.set(`${match[1]}|${match[2]}`, [...(sets.get(`${match[1]}|${match[2]}`) ?? []), file]);
  }
  for (const [key, members] of sets) {
    const [prefix, count] = key.split('|') as [string, string];
    if (members.length === Number(count)) collapsed.push(`${prefix}.data (whole)`);
    else collapsed.push(...members);
  }
  return collapsed.sort();
}

function describeStep(scenario: Scenario, number: number, ours: OurRun, hint = ''): string {
  const steps = scenario.steps.slice(0, number + 1).map(({ ours: _, ...step }, i) => `  ${i} ${JSON.stringify(step)}`);
  const errors = ours.errors.length > 0 ? `\nour errors:\n  ${ours.errors.join('\n  ')}` : '';
  return `"${scenario.name}", step ${number}: TensorFlow (expected) and ours (received) differ.${hint}\n${steps.slice(-12).join('\n')}${errors}\n`;
}
