import { stateFile } from './scenarios-opening.ts';
import type { Scenario, Step } from './steps.ts';

const hour = 3_600_000;
const minute = 60_000;

/** Saves with the given time before each. */
const savesAfter = (...times: readonly number[]): Step[] =>
  times.flatMap((add): Step[] => [{ op: 'clock', add }, { op: 'save' }]);

/** Points 24–27: what is deleted, what is preserved, and what no manager touches again. */
export const sweepingScenarios: readonly Scenario[] = [
  {
    name: 'max_to_keep none sweeps nothing, and hours have no effect',
    points: [24],
    steps: [{ op: 'open', maxToKeep: null, everyNHours: 1 }, ...savesAfter(hour, hour, 2 * hour, 1, 1)],
  },
  {
    name: 'the oldest goes first',
    points: [25, 26],
    steps: [{ op: 'open', maxToKeep: 2 }, ...savesAfter(minute, minute, minute, minute, minute)],
  },
  {
    name: 'every hour one is preserved, equality preserves',
    points: [25, 27],
    steps: [
      { op: 'open', maxToKeep: 1, everyNHours: 1 },
      ...savesAfter(hour - 1000, 30 * minute, 30 * minute, 1, hour - 1, 1, hour, hour + 1, minute),
    ],
  },
  {
    name: 'fractions of hours',
    points: [25],
    steps: [{ op: 'open', maxToKeep: 1, everyNHours: 0.1 }, ...savesAfter(360_000, 359_999, 1, 360_000, 360_001, 0)],
  },
  {
    name: 'zero hours mean never',
    points: [25],
    steps: [{ op: 'open', maxToKeep: 1, everyNHours: 0 }, ...savesAfter(hour, hour, hour)],
  },
  {
    name: 'preserved checkpoints are deleted by no later manager',
    points: [25, 27],
    steps: [
      { op: 'open', maxToKeep: 1, everyNHours: 1 },
      ...savesAfter(hour, hour, hour, minute),
      { op: 'open', maxToKeep: 1 },
      { op: 'restoreOrInitialize' },
      ...savesAfter(minute, minute),
      { op: 'open', maxToKeep: 1, everyNHours: 2 },
      { op: 'restoreOrInitialize' },
      ...savesAfter(hour, hour, hour),
    ],
  },
  {
    name: 'several leave at once when max_to_keep shrinks, each preserved or deleted in its turn',
    points: [9, 25],
    steps: [
      { op: 'open', maxToKeep: 8 },
      ...savesAfter(minute, hour, minute, hour, minute, hour, minute),
      { op: 'open', maxToKeep: 2, everyNHours: 1 },
      { op: 'restoreOrInitialize' },
      ...savesAfter(minute, minute),
    ],
  },
  {
    name: 'files that are gone already are no error',
    points: [26],
    steps: [
      { op: 'open', maxToKeep: 1 },
      { op: 'save' },
      { op: 'delete', paths: ['run/ckpt-1.index'] },
      { op: 'save' },
      { op: 'delete', paths: ['run/ckpt-2.data-00000-of-00001'] },
      { op: 'save' },
      { op: 'delete', paths: ['run/ckpt-3.data-00000-of-00001', 'run/ckpt-3.index'] },
      { op: 'save' },
    ],
  },
  {
    name: 'the whole directory is gone',
    points: [3, 26],
    steps: [
      { op: 'open', maxToKeep: 1 },
      { op: 'save' },
      { op: 'delete', paths: ['run'] },
      { op: 'save' },
      { op: 'save' },
    ],
  },
  {
    name: 'data files of any shard count go, others stay',
    points: [26],
    steps: [
      { op: 'open', maxToKeep: 1 },
      { op: 'save' },
      { op: 'file', path: 'run/ckpt-1.data-00001-of-00004', text: 'x' },
      { op: 'file', path: 'run/ckpt-1.data-00001-of-000004', text: 'x' },
      { op: 'file', path: 'run/ckpt-1.meta', text: 'x' },
      { op: 'file', path: 'run/ckpt-1.index.bak', text: 'x' },
      { op: 'file', path: 'run/ckpt-10.data-00000-of-00001', text: 'x' },
      { op: 'file', path: 'run/ckpt-1.data-abcde-of-00001', text: 'x' },
      {
        op: 'save',
        // A data file's name has digits here; TensorFlow's pattern takes any five characters.
        ours: {
          point: 26,
          expect: {
            files: [
              'run/',
              'run/checkpoint',
              'run/ckpt-1.data-00001-of-000004',
              'run/ckpt-1.data-abcde-of-00001',
              'run/ckpt-1.index.bak',
              'run/ckpt-1.meta',
              'run/ckpt-10.data-00000-of-00001',
              'run/ckpt-2.data-00000-of-00001',
              'run/ckpt-2.index',
            ],
          },
        },
      },
    ],
  },
  {
    name: 'absolute paths and paths elsewhere are swept where they are',
    points: [14, 25, 26],
    steps: [
      { op: 'file', path: 'elsewhere/old-1.index', text: 'x' },
      { op: 'file', path: 'elsewhere/old-1.data-00000-of-00001', text: 'x' },
      { op: 'file', path: 'other/old-2.index', text: 'x' },
      { op: 'file', path: 'other/old-2.data-00000-of-00001', text: 'x' },
      {
        op: 'file',
        path: 'run/checkpoint',
        text: stateFile(
          ['{dir}/elsewhere/old-1', '../other/old-2', 'ckpt-3'],
          ['999990.0', '999991.0', '999992.0'],
          '999000.0',
        ),
      },
      { op: 'open', maxToKeep: 3 },
      { op: 'state' },
      { op: 'save' },
      { op: 'save' },
      { op: 'save' },
    ],
  },
  {
    name: 'a checkpoint that a state file names in two ways survives the sweep of one here',
    points: [25],
    steps: [
      { op: 'open', maxToKeep: 2 },
      { op: 'save' },
      {
        op: 'file',
        path: 'run/checkpoint',
        text: stateFile(['./ckpt-1', 'ckpt-1'], ['999999.5', '999999.6'], '999000.0'),
      },
      { op: 'open', maxToKeep: 2 },
      {
        op: 'save',
        number: 2,
        // TensorFlow deletes by the one name what the other one still lists.
        ours: {
          point: 25,
          expect: {
            files: [
              'run/',
              'run/checkpoint',
              'run/ckpt-1.data-00000-of-00001',
              'run/ckpt-1.index',
              'run/ckpt-2.data-00000-of-00001',
              'run/ckpt-2.index',
            ],
          },
        },
      },
    ],
  },
  {
    name: 'a directory with the characters of a pattern in its name',
    points: [26],
    steps: [
      { op: 'open', maxToKeep: 1, directory: 'g[1]' },
      { op: 'save' },
      {
        op: 'save',
        ours: {
          point: 26,
          expect: { files: ['g[1]/', 'g[1]/checkpoint', 'g[1]/ckpt-2.data-00000-of-00001', 'g[1]/ckpt-2.index'] },
        },
      },
      // TensorFlow takes the path for a pattern here too, and finds nothing.
      {
        op: 'latest',
        directory: 'g[1]',
        ours: {
          point: 26,
          expect: {
            result: 'g[1]/ckpt-2',
            files: ['g[1]/', 'g[1]/checkpoint', 'g[1]/ckpt-2.data-00000-of-00001', 'g[1]/ckpt-2.index'],
          },
        },
      },
    ],
  },
  {
    name: 'a name with the characters of a pattern deletes only its own here',
    points: [26],
    steps: [
      { op: 'file', path: 'run/wild-1.index', text: 'not of this manager' },
      { op: 'open', maxToKeep: 1, name: 'w?ld' },
      { op: 'save' },
      {
        op: 'save',
        ours: {
          point: 26,
          expect: {
            files: ['run/', 'run/checkpoint', 'run/w?ld-2.data-00000-of-00001', 'run/w?ld-2.index', 'run/wild-1.index'],
          },
        },
      },
    ],
  },
];
