import { randomNumbers } from '../support/random.ts';
import type { OpenStep, Scenario, Step } from './steps.ts';

const minute = 60_000;
const hour = 60 * minute;

/**
 * A random program of opens, saves, clock jumps, restores and interference, that keeps off what we mean to do
 * otherwise than TensorFlow:
 * - an asynchronous walk restores nothing (point 23: the save_counter that TensorFlow stores with these is wrong),
 * - nothing deletes or damages the latest checkpoint (point 30), and after a foreign state file, which names files
 *   that don't exist, nothing is restored before the next save,
 * - an index isn't deleted without its data, which ours keeps until the next opening (point 28),
 * - no save fails (point 18), no directory name is a pattern (point 26).
 * Replaced prefixes differ in their shard count: compare with `collapseShards`.
 */
export function randomWalk(seed: number): Scenario {
  const random = randomNumbers(seed);
  const below = (n: number) => Math.floor(random() * n);
  const pick = <T>(...choices: readonly T[]): T => choices[below(choices.length)]!;
  const chance = (probability: number) => random() < probability;

  const asynchronous = chance(0.15);
  const name = pick(undefined, undefined, 'ck', 'sub/ck', 'a-b/c.d');
  const withInterval = chance(0.4);
  const steps: Step[] = [];
  let step = 0;
  let reopened = false;
  let latestIsWhole = true;

  const open = (): void => {
    const interval = withInterval && chance(0.8) ? 1 + below(6) : undefined;
    const opening: OpenStep = { op: 'open', maxToKeep: chance(0.15) ? null : 1 + below(4) };
    if (chance(0.5)) opening.everyNHours = pick(1, 1, 2, 0.5, 0.25, 0);
    if (name !== undefined) opening.name = chance(0.1) ? 'other' : name;
    if (interval !== undefined) opening.interval = interval;
    if (interval !== undefined && chance(0.3)) opening.lastStep = step + below(4) - 2;
    if (chance(0.3)) opening.initFn = true;
    if (reopened && chance(0.2)) opening.sameCheckpoint = true;
    reopened = true;
    steps.push(opening);
    // Usually a program restores first; one that doesn't starts at 1 again.
    if (!asynchronous && latestIsWhole && chance(0.75)) steps.push({ op: 'restoreOrInitialize' });
  };

  const save = (): void => {
    const saving: Step = { op: 'save' };
    if (chance(0.12)) saving.number = below(8) - 1;
    if (chance(0.15)) saving.checkInterval = chance(0.5);
    if (chance(0.12)) saving.callbacks = pick(['path'], ['none'], ['path', 'none'], []);
    if (asynchronous && chance(0.7)) saving.async = true;
    steps.push(saving);
    if (saving.async) steps.push({ op: 'sync' });
  };

  const foreignStateFile = (): void => {
    const now = 1_000_000 + below(8000) - 4000;
    const names = Array.from({ length: 1 + below(3) }, (_, i) => `foreign-${i}`);
    const stamps = names.map((_, i) => now - 100 * (names.length - i) + below(3)).slice(0, below(5) === 0 ? 1 : 9);
    const preserved = chance(0.7) ? now - below(500) : undefined;
    const fields = [
      `model_checkpoint_path: "${names.at(-1)}"`,
      ...names.map((file) => `all_model_checkpoint_paths: "${file}"`),
      ...(chance(0.8) ? stamps.map((stamp) => `all_model_checkpoint_timestamps: ${stamp}.5`) : []),
      ...(preserved === undefined ? [] : [`last_preserved_timestamp: ${preserved}`]),
    ];
    steps.push({ op: 'file', path: 'run/checkpoint', text: fields.join(pick('\n', ' ', ', ', ';\n')) });
    latestIsWhole = false;
    open();
    steps.push({ op: 'save', number: 50 + below(5), checkInterval: false });
    latestIsWhole = true;
  };

  open();
  for (let i = 0, length = 10 + below(14); i < length; i++) {
    const dice = random();
    if (dice < 0.42) save();
    else if (dice < 0.62) {
      steps.push({
        op: 'clock',
        add: pick(1, 600, 1000, minute, hour / 2, hour - 1000, hour - 1, hour, hour + 1, 3 * hour, -hour),
      });
    } else if (dice < 0.76) {
      step = Math.max(0, step + below(7) - 1);
      steps.push({ op: 'set', name: 'step', value: step });
    } else if (dice < 0.82) steps.push({ op: 'set', name: 'value', value: [below(100), below(100)] });
    else if (dice < 0.91) open();
    else if (dice < 0.94) steps.push({ op: 'deleteManaged', nth: below(2), what: pick('data', 'all') });
    else if (dice < 0.96) steps.push(pick<Step>({ op: 'latest' }, { op: 'state' }));
    else if (dice < 0.98 && !withInterval) foreignStateFile();
    else if (!asynchronous) steps.push({ op: 'restoreOrInitialize' });
  }
  save();
  return { name: `walk ${seed}`, points: [], steps };
}
