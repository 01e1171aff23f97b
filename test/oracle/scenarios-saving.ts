import type { Scenario } from './steps.ts';

const second = 1000;

/** A checkpoint whose name was taken: written beside the old data, in another number of files. */
const savedBeside = ['run/ckpt-1.data-00000-of-00002', 'run/ckpt-1.data-00001-of-00002', 'run/ckpt-1.index'];

const replacedOnce = ['run/', 'run/checkpoint', ...savedBeside, 'run/ckpt-2.data-00000-of-00001', 'run/ckpt-2.index'];

/** Points 13–22: when a save happens, what it is called, what it leaves, and what a failed one leaves. */
export const savingScenarios: readonly Scenario[] = [
  {
    name: 'numbers come from save_counter, from 1, in the values saved too',
    points: [13, 14, 19, 21],
    steps: [
      { op: 'open', maxToKeep: 3 },
      { op: 'set', name: 'value', value: [1, 2] },
      { op: 'save' },
      { op: 'clock', add: 600 },
      { op: 'set', name: 'value', value: [3, 4] },
      { op: 'save' },
      { op: 'clock', add: 398 },
      { op: 'save' },
      { op: 'clock', add: 1 },
      { op: 'save' },
      { op: 'latest' },
      { op: 'state' },
      { op: 'open', maxToKeep: 3 },
      { op: 'restoreOrInitialize' },
      { op: 'save' },
    ],
  },
  {
    name: 'a given number, zero and negatives too, while the counter goes on',
    points: [19],
    steps: [
      { op: 'open', maxToKeep: 10 },
      { op: 'save', number: 0 },
      { op: 'save', number: -3 },
      { op: 'save', number: 42 },
      { op: 'save' },
      { op: 'save', number: { counter: 17 } },
      { op: 'save', number: { counter: -1 } },
      { op: 'save', number: 9007199254740991 },
      { op: 'save' },
    ],
  },
  {
    name: 'a number that is none is refused; here nothing changes by it',
    points: [18, 19],
    steps: [
      { op: 'open', maxToKeep: 10 },
      { op: 'save' },
      { op: 'save', number: 1.5, ours: { point: 18, expect: { saveCounter: 1 } } },
      { op: 'save', number: 'x', ours: { point: 18, expect: { saveCounter: 1 } } },
    ],
  },
  {
    name: 'a name saved again moves to the end with a new timestamp',
    points: [20, 21],
    steps: [
      { op: 'open', maxToKeep: 3 },
      { op: 'save', number: 1 },
      { op: 'clock', add: second },
      { op: 'save', number: 2 },
      { op: 'clock', add: second },
      { op: 'set', name: 'value', value: [5, 6] },
      // Replaced under another shard count, so that no file in use is ever written to.
      { op: 'save', number: 1, ours: { point: 20, expect: { files: replacedOnce } } },
      { op: 'clock', add: second, ours: { point: 20, expect: { files: replacedOnce } } },
      { op: 'save', number: 1 },
      { op: 'set', name: 'value', value: [0, 0] },
      { op: 'restoreOrInitialize' },
    ],
  },
  {
    name: 'data without an index under the name that is saved go at the next opening here',
    points: [20, 28],
    steps: [
      { op: 'open', maxToKeep: 3 },
      { op: 'save' },
      { op: 'delete', paths: ['run/ckpt-1.index'] },
      { op: 'open', maxToKeep: 3 },
      {
        op: 'save',
        ours: {
          point: 28,
          expect: { files: ['run/', 'run/checkpoint', 'run/ckpt-1.data-00000-of-00001', ...savedBeside] },
        },
      },
      {
        op: 'open',
        maxToKeep: 3,
        settle: true,
        ours: { point: 28, expect: { files: ['run/', 'run/checkpoint', ...savedBeside] } },
      },
      { op: 'restoreOrInitialize', ours: { point: 28, expect: { files: ['run/', 'run/checkpoint', ...savedBeside] } } },
    ],
  },
  {
    name: 'the interval: the first save always, then at exactly last + interval, never twice at a step',
    points: [16],
    steps: [
      { op: 'open', maxToKeep: 10, interval: 5 },
      { op: 'set', name: 'step', value: 3 },
      { op: 'save' },
      { op: 'save' },
      { op: 'save', checkInterval: false },
      { op: 'set', name: 'step', value: 7 },
      { op: 'save' },
      { op: 'set', name: 'step', value: 8 },
      { op: 'save' },
      { op: 'set', name: 'step', value: 9 },
      { op: 'save', checkInterval: false },
      { op: 'save', checkInterval: false },
      { op: 'set', name: 'step', value: 13 },
      { op: 'save' },
      { op: 'set', name: 'step', value: 14 },
      { op: 'save' },
      { op: 'set', name: 'step', value: 100 },
      { op: 'save', number: 5 },
      { op: 'set', name: 'step', value: 50 },
      { op: 'save' },
      { op: 'save', checkInterval: false },
      { op: 'save', checkInterval: true },
    ],
  },
  {
    name: 'intervals of one and zero',
    points: [16],
    steps: [
      { op: 'open', maxToKeep: 10, interval: 1 },
      { op: 'save' },
      { op: 'save' },
      { op: 'set', name: 'step', value: 1 },
      { op: 'save' },
      { op: 'open', maxToKeep: 10, interval: 0 },
      { op: 'restoreOrInitialize' },
      { op: 'save' },
      { op: 'set', name: 'step', value: 2 },
      { op: 'save' },
      { op: 'set', name: 'step', value: 1 },
      { op: 'save' },
    ],
  },
  {
    name: 'check_interval means nothing without an interval',
    points: [16],
    steps: [
      { op: 'open', maxToKeep: 10 },
      { op: 'save', checkInterval: true },
      { op: 'save', checkInterval: true },
      { op: 'save', checkInterval: false },
    ],
  },
  {
    name: 'last_checkpoint_step seeds the last step',
    points: [17],
    steps: [
      { op: 'open', maxToKeep: 10, interval: 5, lastStep: 0 },
      { op: 'save' },
      { op: 'set', name: 'step', value: 4 },
      { op: 'save' },
      { op: 'set', name: 'step', value: 5 },
      { op: 'save' },
      { op: 'open', maxToKeep: 10, interval: 5, lastStep: 100 },
      { op: 'set', name: 'step', value: 50 },
      { op: 'save' },
      { op: 'save', number: 50, checkInterval: false },
      { op: 'open', maxToKeep: 10, lastStep: 0 },
      { op: 'save', number: 77 },
    ],
  },
  {
    name: 'a failed save burns a number there and none here, and the retry saves',
    points: [18],
    steps: [
      { op: 'file', path: 'run/sub', text: 'a file where the directory should be' },
      { op: 'open', maxToKeep: 3, name: 'sub/ck' },
      { op: 'save', ours: { point: 18, expect: { saveCounter: 0 } } },
      { op: 'delete', paths: ['run/sub'], ours: { point: 18, expect: { saveCounter: 0 } } },
      {
        op: 'save',
        ours: {
          point: 18,
          expect: {
            result: 'run/sub/ck-1',
            latest: 'run/sub/ck-1',
            checkpoints: ['run/sub/ck-1'],
            saveCounter: 1,
            states: {
              'run/checkpoint':
                'model_checkpoint_path: "sub/ck-1"\nall_model_checkpoint_paths: "sub/ck-1"\nall_model_checkpoint_timestamps: 1000000.0\nlast_preserved_timestamp: 999999.0\n',
            },
            files: ['run/', 'run/checkpoint', 'run/sub/', 'run/sub/ck-1.data-00000-of-00001', 'run/sub/ck-1.index'],
          },
        },
      },
    ],
  },
  {
    name: 'a retry at the same step after a failed save returns none there and saves here',
    points: [18],
    steps: [
      { op: 'open', maxToKeep: 3, name: 'sub/ck', interval: 2 },
      { op: 'file', path: 'run/sub', text: 'a file where the directory should be' },
      { op: 'set', name: 'step', value: 6 },
      { op: 'save', number: 6, ours: { point: 18, expect: { saveCounter: 0 } } },
      { op: 'delete', paths: ['run/sub'], ours: { point: 18, expect: { saveCounter: 0 } } },
      {
        op: 'save',
        number: 6,
        ours: {
          point: 18,
          expect: {
            result: 'run/sub/ck-6',
            latest: 'run/sub/ck-6',
            checkpoints: ['run/sub/ck-6'],
            states: {
              'run/checkpoint':
                'model_checkpoint_path: "sub/ck-6"\nall_model_checkpoint_paths: "sub/ck-6"\nall_model_checkpoint_timestamps: 1000000.0\nlast_preserved_timestamp: 999999.0\n',
            },
            files: ['run/', 'run/checkpoint', 'run/sub/', 'run/sub/ck-6.data-00000-of-00001', 'run/sub/ck-6.index'],
          },
        },
      },
    ],
  },
  {
    name: 'user write callbacks come before the manager, with the path or without',
    points: [22],
    steps: [
      { op: 'open', maxToKeep: 1 },
      { op: 'save', callbacks: ['path'] },
      { op: 'save', callbacks: ['path', 'none'] },
      { op: 'save', sameOptions: true },
      { op: 'save', sameOptions: true },
      { op: 'save', callbacks: [] },
      { op: 'save' },
    ],
  },
  {
    name: 'a write callback that fails fails the save; here the new checkpoint goes again',
    points: [18, 22],
    steps: [
      { op: 'open', maxToKeep: 2 },
      { op: 'save' },
      {
        op: 'save',
        callbacks: ['throw', 'path'],
        ours: {
          point: 18,
          expect: {
            saveCounter: 1,
            files: ['run/', 'run/checkpoint', 'run/ckpt-1.data-00000-of-00001', 'run/ckpt-1.index'],
          },
        },
      },
    ],
  },
];
