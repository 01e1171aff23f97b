import type { Exception, Observation, Scenario, Step } from './steps.ts';

const path = 'model_checkpoint_path: "c-2"';
const rest =
  'all_model_checkpoint_paths: "c-1"\nall_model_checkpoint_paths: "c-2"\nall_model_checkpoint_timestamps: 999990\nall_model_checkpoint_timestamps: 999991.5\nlast_preserved_timestamp: 999000\n';

/** Reads a state file that somebody else wrote, by every reader, and goes on from it. */
function layout(
  name: string,
  text: string,
  points: readonly number[],
  opening?: Exception,
  saving?: Exception,
): Scenario {
  return {
    name: `state file: ${name}`,
    points,
    steps: [
      { op: 'file', path: 'run/checkpoint', text },
      { op: 'state' },
      { op: 'latest' },
      { op: 'open', maxToKeep: 4, name: 'c', ...(opening ? { ours: opening } : {}) },
      { op: 'save', number: 9, ...(saving ? { ours: saving } : {}) },
    ],
  };
}

/** What text format allows, besides what a manager writes. Each has to be read as TensorFlow reads it. */
const readable: readonly (readonly [name: string, text: string])[] = [
  ['fields in another order', `${rest}${path}\n`],
  ['one line', `${path} ${rest.replaceAll('\n', ' ')}`],
  ['commas between fields', `${path}, ${rest.replaceAll('\n', ', ')}`],
  ['semicolons between fields', `${path};${rest.replaceAll('\n', ';')}`],
  ['comments', `# of somebody\n${path} # latest\n${rest}# end`],
  ['single quotes', `${path}\n${rest}`.replaceAll('"', "'")],
  ['adjacent strings', `model_checkpoint_path: "c" '-' "2"\n${rest}`],
  ['adjacent strings over lines', `model_checkpoint_path:\n  "c-"\n  # more\n  "2"\n${rest}`],
  [
    'short lists',
    `${path} all_model_checkpoint_paths: ["c-1", 'c-2'] all_model_checkpoint_timestamps: [999990, 999991.5] last_preserved_timestamp: 999000`,
  ],
  [
    'short lists and fields mixed',
    `${path} all_model_checkpoint_paths: ["c-1"] all_model_checkpoint_paths: "c-2" all_model_checkpoint_timestamps: [999990] all_model_checkpoint_timestamps: 999991`,
  ],
  ['an empty short list', `${path} all_model_checkpoint_paths: [] all_model_checkpoint_timestamps: []`],
  ['tabs, carriage returns, form feeds', `${path}\r\n\t${rest.replaceAll('\n', '\r\n\f\v')}`],
  ['escapes', String.raw`model_checkpoint_path: "a\"b\\c\'d\n\t\x41\101\u00e9\U0001F600-1"`],
  ['escapes of bells and others', String.raw`model_checkpoint_path: "\a\b\f\v\r\?-1"`],
  ['short escapes', String.raw`model_checkpoint_path: "\1\12\x4\x41g-1"`],
  ['hex escapes in capitals', String.raw`model_checkpoint_path: "\X41-1"`],
  ['UTF-8 by octal escapes', String.raw`model_checkpoint_path: "\303\251-1"`],
  ['an unknown escape', String.raw`model_checkpoint_path: "a\qb-1"`],
  [
    'Unicode as it is',
    'model_checkpoint_path: "модель/é😀-1" all_model_checkpoint_paths: "модель/é😀-1" all_model_checkpoint_timestamps: 999999',
  ],
  [
    'control characters as they are',
    'model_checkpoint_path: "a\tb\x01c\x7f-1" all_model_checkpoint_paths: "a\tb\x01c\x7f-1" all_model_checkpoint_timestamps: 999999',
  ],
  [
    'an apostrophe in double quotes',
    `model_checkpoint_path: "it's-1" all_model_checkpoint_paths: "it's-1" all_model_checkpoint_timestamps: 999999`,
  ],
  [
    'exponents',
    `${path} all_model_checkpoint_paths: "c-2" all_model_checkpoint_timestamps: 9.99991e5 last_preserved_timestamp: 1E+2`,
  ],
  [
    'a float suffix',
    `${path} all_model_checkpoint_paths: "c-2" all_model_checkpoint_timestamps: 999991f last_preserved_timestamp: 1.5F`,
  ],
  [
    'numbers without digits before or after the point',
    `${path} all_model_checkpoint_paths: "c-2" all_model_checkpoint_timestamps: 999991. last_preserved_timestamp: .5`,
  ],
  ['a plus sign', `${path} last_preserved_timestamp: +10`],
  [
    'infinity',
    `${path} all_model_checkpoint_paths: "c-2" all_model_checkpoint_timestamps: inf last_preserved_timestamp: -inf`,
  ],
  [
    'infinity in full, in capitals',
    `${path} all_model_checkpoint_paths: "c-2" all_model_checkpoint_timestamps: INFINITY`,
  ],
  [
    'infinity as last preserved',
    `${path} all_model_checkpoint_paths: "c-2" all_model_checkpoint_timestamps: 5 last_preserved_timestamp: infinity`,
  ],
  ['not a number', `${path} all_model_checkpoint_paths: "c-2" all_model_checkpoint_timestamps: nan`],
  [
    'not a number as last preserved',
    `${path} all_model_checkpoint_paths: "c-2" all_model_checkpoint_timestamps: 5 last_preserved_timestamp: nan`,
  ],
  ['a huge number', `${path} all_model_checkpoint_paths: "c-2" all_model_checkpoint_timestamps: 1e999`],
  ['an underscore in a number', `${path} last_preserved_timestamp: 1_000`],
  [
    'many digits',
    `${path} all_model_checkpoint_paths: "c-2" all_model_checkpoint_timestamps: 999991.123456789012345678 last_preserved_timestamp: 0.1000000000000000055511151231257827`,
  ],
  [
    'small and large doubles',
    `${path} all_model_checkpoint_paths: ["c-1", "c-2"] all_model_checkpoint_timestamps: [0.00001, 123456.7] last_preserved_timestamp: 1e-7`,
  ],
  [
    'a negative zero',
    `${path} all_model_checkpoint_paths: ["c-1"] all_model_checkpoint_timestamps: [5] last_preserved_timestamp: -0.0`,
  ],
  ['the same single field twice', `${path} model_checkpoint_path: "c-3"`],
  ['the last preserved twice', `${path} last_preserved_timestamp: 1 last_preserved_timestamp: 1`],
  ['a space before the colon', 'model_checkpoint_path : "c-2"'],
  ['only a latest', `${path}\n`],
  [
    'an absolute latest',
    'model_checkpoint_path: "{dir}/run/c-2" all_model_checkpoint_paths: "{dir}/run/c-2" all_model_checkpoint_timestamps: 999991',
  ],
  [
    'paths with dots',
    'model_checkpoint_path: "./c-2" all_model_checkpoint_paths: "./c-2" all_model_checkpoint_paths: "x/../c-2" all_model_checkpoint_paths: "../run//c-2" all_model_checkpoint_timestamps: [999991, 999992, 999993]',
  ],
  [
    'one path twice',
    `${path} all_model_checkpoint_paths: ["c-2", "c-1", "c-2"] all_model_checkpoint_timestamps: [999990, 999991, 999992]`,
  ],
  [
    'an empty path in the list',
    `${path} all_model_checkpoint_paths: ["", "c-2"] all_model_checkpoint_timestamps: [999990, 999991]`,
  ],
  [
    'timestamps out of order',
    `${path} all_model_checkpoint_paths: ["c-1", "c-2"] all_model_checkpoint_timestamps: [999995, 999990]`,
  ],
];

/** What text format does not allow: ignored with a warning, and the directory is treated as fresh. */
const unparsable: readonly (readonly [name: string, text: string])[] = [
  ['no whitespace at all', `${path}${rest.replaceAll('\n', '').replaceAll(': ', ':')}`],
  ['two separators', `${path},;${rest}`],
  ['a short list with a trailing comma', `${path} all_model_checkpoint_paths: ["c-1",]`],
  ['a short list for a single field', `model_checkpoint_path: ["c-2"]`],
  ['bytes that are not UTF-8 by escapes', String.raw`model_checkpoint_path: "\377-1"`],
  ['a surrogate escape', String.raw`model_checkpoint_path: "\ud800-1"`],
  ['a pair of surrogate escapes', String.raw`model_checkpoint_path: "\ud83d\ude00-1"`],
  ['a line break within a string', 'model_checkpoint_path: "a\nb"'],
  ['an unterminated string', 'model_checkpoint_path: "c-2'],
  ['a byte order mark', `\ufeff${path}\n${rest}`],
  ['a NUL byte', `${path}\n\0${rest}`],
  [
    'a negative number',
    `${path} all_model_checkpoint_paths: "c-2" all_model_checkpoint_timestamps: -5 last_preserved_timestamp: - 10`,
  ],
  ['a hexadecimal number', `${path} all_model_checkpoint_paths: "c-2" all_model_checkpoint_timestamps: 0xF423F`],
  ['a hexadecimal last preserved', `${path} last_preserved_timestamp: 0x10`],
  ['an octal number', `${path} all_model_checkpoint_paths: "c-2" all_model_checkpoint_timestamps: 010`],
  ['an octal-like integer', `${path} all_model_checkpoint_paths: "c-2" all_model_checkpoint_timestamps: 0999991`],
  ['a word for a number', `${path} last_preserved_timestamp: soon`],
  ['a string for a number', `${path} last_preserved_timestamp: "5"`],
  ['a number for a string', 'model_checkpoint_path: 5'],
  ['a word for a string', 'model_checkpoint_path: latest'],
  ['an unknown field', `${path}\nfuture: 5\n${rest}`],
  ['a field number', `1: "c-2"`],
  ['an extension', `${path} [a.b]: 5`],
  ['a field name in capitals', 'MODEL_CHECKPOINT_PATH: "c-2"'],
  ['no colon', 'model_checkpoint_path "c-2"'],
  ['braces', 'model_checkpoint_path { "c-2" }'],
  ['a missing value', 'model_checkpoint_path:'],
];

/** Point 10: what TensorFlow refuses with an error out of the constructor. Ours warns, and goes on as from nothing. */
const refused: readonly (readonly [name: string, text: string])[] = [
  ['a comment ended by a carriage return alone', `# a\r${path}\n${rest}`],
  ['empty', ''],
  ['only whitespace and a comment', ' \n# nothing\n'],
  ['without a latest', rest],
  ['an empty latest', 'model_checkpoint_path: ""'],
];

const afterRefusal: Exception = { point: 10, warns: 'state', expect: { result: null, checkpoints: [] } };
const firstSave: Exception = {
  point: 10,
  expect: {
    result: 'run/c-9',
    latest: 'run/c-9',
    checkpoints: ['run/c-9'],
    saveCounter: 1,
    states: {
      'run/checkpoint':
        'model_checkpoint_path: "c-9"\nall_model_checkpoint_paths: "c-9"\nall_model_checkpoint_timestamps: 1000000.0\nlast_preserved_timestamp: 999999.0\n',
    },
    files: ['run/', 'run/c-9.data-00000-of-00001', 'run/c-9.index', 'run/checkpoint'],
  },
};

const notUtf8: Scenario = {
  name: 'state file: bytes that are not UTF-8',
  points: [10],
  steps: [
    {
      op: 'file',
      path: 'run/checkpoint',
      base64: Buffer.from('model_checkpoint_path: "\xff-1"', 'latin1').toString('base64'),
    },
    // Python's decoding error, which TensorFlow doesn't catch as it does a parse error.
    { op: 'state' },
    { op: 'latest' },
    { op: 'open', maxToKeep: 4, name: 'c', ours: afterRefusal },
    { op: 'save', number: 9, ours: firstSave },
  ],
};

/** Four checkpoints whose index files have the age of their saves, and a state file that says nothing. */
const fourAndABrokenState = (text: string): Step[] => [
  { op: 'open', maxToKeep: 5 },
  ...[1, 2, 3, 4].flatMap((n): Step[] => [
    { op: 'clock', add: 10_000 },
    { op: 'save' },
    { op: 'touch', path: `run/ckpt-${n}.index`, time: 1_000_000_000 + n * 10_000 },
  ]),
  { op: 'file', path: 'run/checkpoint', text },
];

const recovered: Partial<Observation> = { latest: 'run/ckpt-4', checkpoints: ['run/ckpt-3', 'run/ckpt-4'] };
const savedAfterRecovery: Partial<Observation> = {
  checkpoints: ['run/ckpt-4', 'run/ckpt-9'],
  states: {
    'run/checkpoint':
      'model_checkpoint_path: "ckpt-9"\nall_model_checkpoint_paths: "ckpt-4"\nall_model_checkpoint_paths: "ckpt-9"\nall_model_checkpoint_timestamps: 1000040.0\nall_model_checkpoint_timestamps: 1000050.0\nlast_preserved_timestamp: 1000029.0\n',
  },
  files: [
    'run/',
    'run/checkpoint',
    ...['1', '2', '4', '9'].flatMap((n) => [`run/ckpt-${n}.data-00000-of-00001`, `run/ckpt-${n}.index`]),
  ],
};

const recovering: readonly Scenario[] = [
  {
    name: 'a broken state file: the newest whole checkpoints become the list here',
    points: [10],
    steps: [
      ...fourAndABrokenState('garbage {'),
      { op: 'open', maxToKeep: 2, ours: { point: 10, warns: 'state', expect: recovered } },
      { op: 'clock', add: 10_000, ours: { point: 10, expect: recovered } },
      { op: 'save', number: 9, ours: { point: 10, expect: savedAfterRecovery } },
    ],
  },
  {
    name: 'an empty state file: the newest whole checkpoints become the list here',
    points: [10],
    steps: [
      ...fourAndABrokenState(''),
      { op: 'open', maxToKeep: 2, ours: { point: 10, warns: 'state', expect: { result: null, ...recovered } } },
      { op: 'clock', add: 10_000, ours: { point: 10, expect: recovered } },
      {
        op: 'save',
        number: 9,
        ours: {
          point: 10,
          expect: { ...savedAfterRecovery, result: 'run/ckpt-9', latest: 'run/ckpt-9', saveCounter: 1 },
        },
      },
    ],
  },
  {
    name: 'a missing state file is fresh, whatever is in the directory',
    points: [4, 10],
    steps: [
      { op: 'open', maxToKeep: 5 },
      { op: 'save' },
      { op: 'save' },
      { op: 'delete', paths: ['run/checkpoint'] },
      { op: 'latest' },
      { op: 'open', maxToKeep: 1, ours: { point: 10, warns: 'ckpt-2' } },
      { op: 'restoreOrInitialize' },
      { op: 'save', number: 3 },
      { op: 'save', number: 4 },
    ],
  },
];

export const stateFileScenarios: readonly Scenario[] = [
  ...readable.map(([name, text]) => layout(name, text, [5, 6, 7, 12, 14])),
  ...unparsable.map(([name, text]) => layout(name, text, [10], { point: 10, warns: 'state' })),
  ...refused.map(([name, text]) => layout(name, text, [10], afterRefusal, firstSave)),
  notUtf8,
  ...recovering,
];
