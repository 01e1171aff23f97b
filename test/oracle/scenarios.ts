import { asynchronousScenarios } from './scenarios-asynchronous.ts';
import { openingScenarios } from './scenarios-opening.ts';
import { restoringScenarios } from './scenarios-restoring.ts';
import { savingScenarios } from './scenarios-saving.ts';
import { stateFileScenarios } from './scenarios-state-file.ts';
import { sweepingScenarios } from './scenarios-sweeping.ts';
import type { Scenario } from './steps.ts';

/** Every scenario that is run through TensorFlow's manager and ours, by the file of its recording in expected/. */
export const groups: Readonly<Record<string, readonly Scenario[]>> = {
  opening: openingScenarios,
  'state-file': stateFileScenarios,
  saving: savingScenarios,
  asynchronous: asynchronousScenarios,
  sweeping: sweepingScenarios,
  restoring: restoringScenarios,
};

export const scenarios: readonly Scenario[] = Object.values(groups).flat();
