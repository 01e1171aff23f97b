import type { Scenario } from './steps.ts';

const second = 1000;

/** Point 23: saves that go on after `save` has returned. What can be seen is certain only after `sync`. */
export const asynchronousScenarios: readonly Scenario[] = [
  {
    name: 'an asynchronous save is seen after sync',
    points: [23],
    steps: [
      { op: 'open', maxToKeep: 2 },
      { op: 'save', async: true },
      { op: 'sync' },
      { op: 'clock', add: second },
      { op: 'save', async: true, callbacks: ['path'] },
      { op: 'sync' },
      { op: 'clock', add: second },
      { op: 'save', async: true, number: 30 },
      { op: 'save', async: true },
      { op: 'save', async: true },
      { op: 'sync' },
      { op: 'sync' },
      { op: 'save', async: true },
      { op: 'sync' },
    ],
  },
  {
    name: 'an asynchronous save holds the values of its beginning',
    points: [23],
    steps: [
      { op: 'open', maxToKeep: 2 },
      { op: 'set', name: 'value', value: [1, 2] },
      { op: 'save', async: true },
      { op: 'set', name: 'value', value: [3, 4] },
      { op: 'sync' },
      { op: 'open', maxToKeep: 2 },
      // TensorFlow stores the counter of a hidden copy of the Checkpoint here, which is still 0, and would overwrite
      // checkpoint 1 next. Ours stores the counter that numbered the save.
      { op: 'restoreOrInitialize', ours: { point: 23, expect: { saveCounter: 1 } } },
    ],
  },
  {
    name: 'a failed asynchronous save is raised by the next save there, by sync here, where nothing has changed',
    points: [18, 23],
    steps: [
      { op: 'file', path: 'run/sub', text: 'a file where the directory should be' },
      { op: 'open', maxToKeep: 3, name: 'sub/ck' },
      { op: 'save', async: true, ours: { point: 18, expect: { result: 'error', saveCounter: 0 } } },
      { op: 'sync', ours: { point: 18, expect: { saveCounter: 0 } } },
      { op: 'delete', paths: ['run/sub'], ours: { point: 18, expect: { saveCounter: 0 } } },
      {
        op: 'save',
        async: true,
        ours: { point: 23, expect: { result: 'run/sub/ck-1', saveCounter: 1 } },
      },
      {
        op: 'sync',
        ours: {
          point: 23,
          expect: {
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
    name: 'an asynchronous save with an interval',
    points: [16, 23],
    steps: [
      { op: 'open', maxToKeep: 2, interval: 2 },
      { op: 'save', async: true },
      { op: 'save', async: true },
      { op: 'sync' },
      { op: 'set', name: 'step', value: 2 },
      { op: 'save', async: true },
      { op: 'sync' },
    ],
  },
];
