import type { Scenario, Step } from './steps.ts';

const hour = 3_600_000;
const second = 1000;

/** A state file with one checkpoint a timestamp, as a manager writes it. */
export function stateFile(
  names: readonly string[],
  timestamps: readonly (number | string)[],
  preserved?: string,
): string {
  return [
    `model_checkpoint_path: "${names.at(-1)}"`,
    ...names.map((name) => `all_model_checkpoint_paths: "${name}"`),
    ...timestamps.map((time) => `all_model_checkpoint_timestamps: ${time}`),
    ...(preserved === undefined ? [] : [`last_preserved_timestamp: ${preserved}`]),
    '',
  ].join('\n');
}

const saveThree: readonly Step[] = [
  { op: 'clock', add: 10 * second },
  { op: 'save' },
  { op: 'clock', add: 10 * second },
  { op: 'save' },
  { op: 'clock', add: 10 * second },
  { op: 'save' },
];

/** Points 1–10: what the constructor accepts, and what it makes of the directory that it finds. */
export const openingScenarios: readonly Scenario[] = [
  {
    name: 'max_to_keep has to be positive or none',
    points: [1],
    steps: [
      { op: 'open', maxToKeep: 0 },
      { op: 'open', maxToKeep: -1 },
      { op: 'open', maxToKeep: null },
      { op: 'open', maxToKeep: 1 },
      { op: 'save' },
    ],
  },
  {
    name: 'a fraction as max_to_keep is refused here',
    points: [1],
    steps: [{ op: 'open', maxToKeep: 1.5, ours: { point: 1, expect: { result: 'error', checkpoints: null } } }],
  },
  {
    name: 'an interval needs a step counter, a step counter needs no interval',
    points: [2],
    steps: [
      { op: 'open', maxToKeep: 2, interval: 3, stepCounter: false },
      { op: 'open', maxToKeep: 2, stepCounter: true },
      { op: 'save' },
      { op: 'save' },
      { op: 'save', checkInterval: false },
    ],
  },
  {
    name: 'the directory appears with the first save, with its parents',
    points: [3, 4],
    steps: [
      { op: 'open', maxToKeep: 2, directory: 'a/b/c' },
      { op: 'restoreOrInitialize' },
      { op: 'latest', directory: 'a/b/c' },
      { op: 'state', directory: 'a/b/c' },
      { op: 'save' },
      { op: 'latest', directory: 'a/b/c' },
    ],
  },
  {
    name: 'a name with a slash saves below the directory, the state file stays above',
    points: [3, 14],
    steps: [
      { op: 'open', maxToKeep: 2, name: 'sub/ck' },
      ...saveThree,
      { op: 'latest' },
      { op: 'latest', directory: 'run/sub' },
      { op: 'open', maxToKeep: 1, name: 'sub/ck' },
      { op: 'restoreOrInitialize' },
      { op: 'save' },
    ],
  },
  {
    name: 'a name with several slashes, dots and spaces',
    points: [3, 14],
    steps: [
      { op: 'open', maxToKeep: 1, name: 'a/b/my model.v1-x' },
      ...saveThree,
      { op: 'open', maxToKeep: 1, name: 'a/b/my model.v1-x' },
      { op: 'restoreOrInitialize' },
      { op: 'save' },
    ],
  },
  {
    name: 'without a state file the first preservation counts from one second before the opening',
    points: [4, 27],
    steps: [
      { op: 'open', maxToKeep: 1, everyNHours: 1 },
      { op: 'clock', add: hour - second },
      { op: 'save' },
      { op: 'clock', add: 1 },
      { op: 'save' },
      { op: 'clock', add: hour - 1 },
      { op: 'save' },
      { op: 'save' },
    ],
  },
  {
    name: 'the state file is read once, at the opening',
    points: [4, 5],
    steps: [
      { op: 'open', maxToKeep: 2 },
      { op: 'file', path: 'run/checkpoint', text: stateFile(['ckpt-9'], ['999999.5'], '999998.0') },
      { op: 'save' },
      { op: 'open', maxToKeep: 2 },
    ],
  },
  {
    name: 'latest is what the state file says, whether or not the files exist',
    points: [5],
    steps: [
      {
        op: 'file',
        path: 'run/checkpoint',
        text: stateFile(['gone-3', 'gone-4'], ['999990.0', '999991.0'], '999000.0'),
      },
      { op: 'open', maxToKeep: 3 },
      { op: 'latest' },
      { op: 'state' },
      { op: 'clock', add: second },
      { op: 'save' },
      { op: 'latest' },
    ],
  },
  {
    name: 'a latest that the list does not name',
    points: [5, 15],
    steps: [
      {
        op: 'file',
        path: 'run/checkpoint',
        text: `model_checkpoint_path: "other-7"\n${stateFile(['ckpt-1', 'ckpt-2'], ['999990.0', '999991.0'], '999000.0').split('\n').slice(1).join('\n')}`,
      },
      { op: 'open', maxToKeep: 3 },
      { op: 'state' },
      { op: 'save' },
    ],
  },
  {
    name: 'a path is managed if it is younger than the last preserved, strictly',
    points: [6],
    steps: [
      {
        op: 'file',
        path: 'run/checkpoint',
        text: stateFile(
          ['c-1', 'c-2', 'c-3', 'c-4'],
          ['999990.0', '999991.0', '999991.0000001', '999992.0'],
          '999991.0',
        ),
      },
      { op: 'open', maxToKeep: 5, name: 'c' },
      { op: 'save' },
    ],
  },
  {
    name: 'timestamps of the future become now, and count as younger than the last preserved only if now is',
    points: [6],
    steps: [
      { op: 'file', path: 'run/checkpoint', text: stateFile(['c-1', 'c-2'], ['5000000.0', '6000000.0'], '999991.0') },
      { op: 'open', maxToKeep: 5 },
      { op: 'save' },
      { op: 'file', path: 'run/checkpoint', text: stateFile(['c-1', 'c-2'], ['5000000.0', '6000000.0'], '1000000.0') },
      { op: 'open', maxToKeep: 5 },
      { op: 'save', number: 2 },
    ],
  },
  {
    name: 'without timestamps nothing is managed, and latest is still set',
    points: [7],
    steps: [
      { op: 'file', path: 'run/checkpoint', text: stateFile(['c-1', 'c-2'], [], '999991.0') },
      { op: 'open', maxToKeep: 1 },
      { op: 'save' },
      { op: 'file', path: 'run/checkpoint', text: stateFile(['c-1', 'c-2'], []) },
      { op: 'open', maxToKeep: 1 },
      { op: 'save', number: 2 },
    ],
  },
  {
    name: 'paths beyond the timestamps are dropped, timestamps beyond the paths too',
    points: [7],
    steps: [
      {
        op: 'file',
        path: 'run/checkpoint',
        text: stateFile(['c-1', 'c-2', 'c-3'], ['999990.0', '999991.0'], '999000.0'),
      },
      { op: 'open', maxToKeep: 5, ours: { point: 7, warns: 'timestamp' } },
      { op: 'save' },
      { op: 'file', path: 'run/checkpoint', text: stateFile(['c-1'], ['999990.0', '999991.0'], '999000.0') },
      { op: 'open', maxToKeep: 5 },
      { op: 'save', number: 2 },
    ],
  },
  {
    name: 'a clock that ran backwards leaves the list empty, and nothing old is deleted',
    points: [8],
    steps: [
      { op: 'open', maxToKeep: 2 },
      ...saveThree,
      { op: 'clock', to: 999_000_000 },
      { op: 'open', maxToKeep: 1, ours: { point: 8, warns: 'clock' } },
      { op: 'save', number: 11 },
      { op: 'clock', add: second },
      { op: 'save', number: 12 },
      { op: 'clock', to: 2_000_000_000 },
      { op: 'open', maxToKeep: 1 },
      { op: 'save', number: 13 },
    ],
  },
  {
    name: 'a clock that runs backwards during a run',
    points: [8, 25],
    steps: [
      { op: 'open', maxToKeep: 2, everyNHours: 1 },
      { op: 'clock', add: 2 * hour },
      { op: 'save' },
      { op: 'clock', add: -3 * hour },
      { op: 'save' },
      { op: 'save' },
      { op: 'save' },
      { op: 'open', maxToKeep: 2, everyNHours: 1 },
      { op: 'restoreOrInitialize' },
      { op: 'save' },
    ],
  },
  {
    name: 'a smaller max_to_keep deletes nothing until the next save',
    points: [9],
    steps: [
      { op: 'open', maxToKeep: 5 },
      ...saveThree,
      { op: 'open', maxToKeep: 1 },
      { op: 'restoreOrInitialize' },
      { op: 'clock', add: second },
      { op: 'save' },
    ],
  },
  {
    name: 'a larger max_to_keep, and none, keep what is there',
    points: [9, 24],
    steps: [
      { op: 'open', maxToKeep: 1 },
      ...saveThree,
      { op: 'open', maxToKeep: 3 },
      { op: 'restoreOrInitialize' },
      ...saveThree,
      { op: 'open', maxToKeep: null },
      { op: 'restoreOrInitialize' },
      ...saveThree,
    ],
  },
  {
    name: 'other managers names in one directory, one after the other',
    points: [3, 5],
    steps: [
      { op: 'open', maxToKeep: 2, name: 'a' },
      ...saveThree,
      { op: 'open', maxToKeep: 2, name: 'b' },
      { op: 'clock', add: second },
      { op: 'save' },
      { op: 'save' },
      { op: 'save' },
    ],
  },
];
