import { stateFile } from './scenarios-opening.ts';
import type { Scenario, Step } from './steps.ts';

const second = 1000;
const all = ['consumed', 'existing', 'nontrivial'] as const;

const trainAndSave = (...values: readonly number[]): Step[] =>
  values.flatMap((value): Step[] => [
    { op: 'clock', add: second },
    { op: 'set', name: 'step', value },
    { op: 'set', name: 'value', value: [value, -value] },
    { op: 'save' },
  ]);

/** The latest of three checkpoints goes bad: TensorFlow throws, and here the one before is restored. */
const fallsBack = (what: string, harm: Step, ...opened: readonly Step[]): Scenario => ({
  name: `${what} an error there, and a reason to fall back here`,
  points: [30],
  steps: [
    { op: 'open', maxToKeep: 3 },
    ...trainAndSave(1, 2, 3),
    harm,
    { op: 'open', maxToKeep: 3 },
    ...opened,
    {
      op: 'restoreOrInitialize',
      ours: {
        point: 30,
        warns: 'ckpt-3',
        expect: {
          result: 'run/ckpt-2',
          latest: 'run/ckpt-2',
          checkpoints: ['run/ckpt-1', 'run/ckpt-2'],
          values: { step: 2, value: [2, -2] },
          saveCounter: 2,
        },
      },
    },
  ],
});

/** Points 29–35: restoring through the manager, and the Checkpoint itself. */
export const restoringScenarios: readonly Scenario[] = [
  {
    name: 'restore_or_initialize without a checkpoint calls init_fn and returns none',
    points: [29],
    steps: [
      { op: 'open', maxToKeep: 2 },
      { op: 'restoreOrInitialize' },
      { op: 'open', maxToKeep: 2, initFn: true },
      { op: 'restoreOrInitialize' },
      { op: 'restoreOrInitialize' },
      { op: 'save' },
      { op: 'restoreOrInitialize' },
    ],
  },
  {
    name: 'restore_or_initialize restores the latest and does not call init_fn',
    points: [29, 31],
    steps: [
      { op: 'open', maxToKeep: 2, interval: 5 },
      ...trainAndSave(5, 10),
      { op: 'open', maxToKeep: 2, interval: 5, initFn: true },
      { op: 'restoreOrInitialize' },
      { op: 'save' },
      { op: 'save', checkInterval: false },
      { op: 'set', name: 'step', value: 14 },
      { op: 'save' },
      { op: 'set', name: 'step', value: 15 },
      { op: 'save' },
      { op: 'set', name: 'step', value: 16 },
      { op: 'restoreOrInitialize' },
      { op: 'save' },
    ],
  },
  fallsBack('files that are missing are', { op: 'delete', paths: ['run/ckpt-3.index'] }, { op: 'latest' }),
  fallsBack('a damaged index is', { op: 'damage', path: 'run/ckpt-3.index' }),
  {
    name: 'where nothing can be restored both fail',
    points: [30],
    steps: [
      {
        op: 'file',
        path: 'run/checkpoint',
        text: stateFile(['ckpt-1', 'ckpt-2'], ['999990.0', '999991.0'], '999000.0'),
      },
      { op: 'open', maxToKeep: 3, initFn: true },
      { op: 'restoreOrInitialize' },
    ],
  },
  {
    name: 'a manager that does not restore starts at 1 again and deletes what is older by date',
    points: [32],
    steps: [
      { op: 'open', maxToKeep: 1 },
      ...trainAndSave(1, 2, 3, 4, 5),
      { op: 'open', maxToKeep: 1 },
      { op: 'clock', add: second },
      { op: 'save', ours: { point: 32, warns: 'restor' } },
      { op: 'save' },
    ],
  },
  {
    name: 'one Checkpoint in two managers, one after the other, goes on counting',
    points: [19, 29],
    steps: [
      { op: 'open', maxToKeep: 2 },
      ...trainAndSave(1, 2),
      { op: 'open', maxToKeep: 2, sameCheckpoint: true },
      ...trainAndSave(3, 4),
      { op: 'restoreOrInitialize' },
      ...trainAndSave(5),
    ],
  },
  {
    name: 'after the restore of an older one its next number is saved again',
    points: [19, 20, 29],
    steps: [
      { op: 'open', maxToKeep: 3 },
      ...trainAndSave(1, 2, 3),
      { op: 'restore', prefix: 'run/ckpt-1', assert: all },
      { op: 'clock', add: second },
      {
        op: 'save',
        // Replaced under another shard count, so that no file in use is written to.
        ours: {
          point: 20,
          expect: {
            files: [
              'run/',
              'run/checkpoint',
              'run/ckpt-1.data-00000-of-00001',
              'run/ckpt-1.index',
              'run/ckpt-2.data-00000-of-00002',
              'run/ckpt-2.data-00001-of-00002',
              'run/ckpt-2.index',
              'run/ckpt-3.data-00000-of-00001',
              'run/ckpt-3.index',
            ],
          },
        },
      },
    ],
  },
  {
    name: 'Checkpoint.save numbers, and its state names this path alone without timestamps',
    points: [33],
    steps: [
      { op: 'open', maxToKeep: 2, directory: 'unused' },
      { op: 'checkpointSave', prefix: 'run/model' },
      { op: 'latest' },
      { op: 'state' },
      { op: 'checkpointSave', prefix: 'run/model' },
      { op: 'state' },
      { op: 'checkpointSave', prefix: 'deep/er/x' },
      { op: 'set', name: 'value', value: [8, 9] },
      { op: 'restore', prefix: 'run/model-2', assert: all },
      { op: 'checkpointSave', prefix: 'run/model' },
    ],
  },
  {
    name: 'Checkpoint.save overwrites the state of a manager, which does not notice',
    points: [33],
    steps: [
      { op: 'open', maxToKeep: 2 },
      ...trainAndSave(1, 2),
      { op: 'checkpointSave', prefix: 'run/alone' },
      { op: 'state' },
      { op: 'save' },
      { op: 'state' },
    ],
  },
  {
    name: 'a manager over the state of Checkpoint.save',
    points: [7, 33],
    steps: [
      { op: 'open', maxToKeep: 1, directory: 'unused' },
      { op: 'checkpointSave', prefix: 'run/ckpt' },
      { op: 'checkpointSave', prefix: 'run/ckpt' },
      { op: 'open', maxToKeep: 1 },
      { op: 'restoreOrInitialize' },
      { op: 'save' },
      { op: 'save' },
    ],
  },
  {
    name: 'write makes no number and no state; read pairs with it, restore does not',
    points: [33],
    steps: [
      { op: 'open', maxToKeep: 2 },
      { op: 'set', name: 'value', value: [1, 2] },
      { op: 'checkpointWrite', prefix: 'w/plain' },
      { op: 'set', name: 'value', value: [3, 4] },
      { op: 'read', prefix: 'w/plain', assert: all },
      { op: 'restore', prefix: 'w/plain', assert: all },
      { op: 'checkpointWrite', prefix: 'w/counted' },
      { op: 'read', prefix: 'w/counted', assert: all },
      { op: 'restore', prefix: 'w/counted', assert: all },
      { op: 'open', maxToKeep: 2 },
      { op: 'read', prefix: 'w/counted', assert: all },
      { op: 'read', prefix: 'w/plain', assert: all },
      { op: 'latest', directory: 'w' },
    ],
  },
  {
    name: 'restore of none gives a status that matches nothing',
    points: [34],
    steps: [{ op: 'open', maxToKeep: 2 }, { op: 'restore', prefix: null, assert: all }, { op: 'save' }],
  },
  {
    name: 'restore of what does not exist is an error',
    points: [30, 34],
    steps: [
      { op: 'open', maxToKeep: 2 },
      { op: 'restore', prefix: 'run/ckpt-1' },
      { op: 'read', prefix: 'nowhere/x' },
      { op: 'save' },
      { op: 'restore', prefix: 'run/ckpt' },
      { op: 'restore', prefix: 'run/ckpt-1', assert: all },
    ],
  },
  {
    name: 'assertions when the checkpoint has more than the program',
    points: [34],
    steps: [
      { op: 'open', maxToKeep: 2, objects: { step: 'counter', value: 'float2', 'box.late': 'float3' } },
      { op: 'save' },
      { op: 'open', maxToKeep: 2, objects: { step: 'counter', value: 'float2' } },
      { op: 'restore', prefix: 'run/ckpt-1', assert: all },
      { op: 'open', maxToKeep: 2, objects: { other: 'float2' } },
      { op: 'restore', prefix: 'run/ckpt-1', assert: all },
    ],
  },
  {
    name: 'assertions when the program has more than the checkpoint',
    points: [34],
    steps: [
      { op: 'open', maxToKeep: 2 },
      ...trainAndSave(4),
      { op: 'open', maxToKeep: 2, objects: { step: 'counter', value: 'float2', extra: 'float2' } },
      { op: 'restore', prefix: 'run/ckpt-1', assert: all },
      { op: 'save' },
    ],
  },
  {
    name: 'a value is restored when its object appears',
    points: [35],
    steps: [
      { op: 'open', maxToKeep: 2, objects: { step: 'counter', 'box.late': 'float2' } },
      { op: 'set', name: 'box.late', value: [6, 7] },
      { op: 'save' },
      { op: 'open', maxToKeep: 2, objects: { step: 'counter', box: 'float2' } },
      { op: 'restore', prefix: 'run/ckpt-1', assert: all },
      { op: 'attach', name: 'box.late', kind: 'float2' },
      { op: 'assert', assert: all },
      { op: 'save' },
    ],
  },
  {
    name: 'another shape or dtype is an error; here nothing at all is assigned',
    points: [35],
    steps: [
      { op: 'open', maxToKeep: 2 },
      ...trainAndSave(4),
      { op: 'open', maxToKeep: 2, objects: { step: 'counter', value: 'float3' } },
      {
        op: 'restore',
        prefix: 'run/ckpt-1',
        ours: { point: 35, expect: { values: { step: 0, value: [0, 0, 0] } } },
      },
      { op: 'open', maxToKeep: 2, objects: { step: 'counter', value: 'int2' } },
      { op: 'restore', prefix: 'run/ckpt-1' },
    ],
  },
];
