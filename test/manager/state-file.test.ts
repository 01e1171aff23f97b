import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CheckpointState, parseCheckpointState, printCheckpointState } from '../../src/checkpoint/state-file.ts';
import { isCheckpointError } from '../../src/errors.ts';
import { describeWithOracle, runOracle } from '../support/oracle.ts';

const RUNS = Number(process.env.TENSOR_CHECKPOINT_RUNS ?? 2000);

function state(fields: Partial<CheckpointState>): CheckpointState {
  return {
    modelCheckpointPath: '',
    allModelCheckpointPaths: [],
    allModelCheckpointTimestamps: [],
    lastPreservedTimestamp: 0,
    ...fields,
  };
}

describe('12: the state file is text format as TensorFlow prints it', () => {
  it('12: fields in their order, one a line, doubles as Python’s repr, a zero timestamp left out', () => {
    const printed = printCheckpointState(
      state({
        modelCheckpointPath: 'ckpt-2',
        allModelCheckpointPaths: ['ckpt-1', 'ckpt-2'],
        allModelCheckpointTimestamps: [1000, 1795228512.600398],
        lastPreservedTimestamp: 1e16,
      }),
    );
    expect(printed).toBe(
      'model_checkpoint_path: "ckpt-2"\nall_model_checkpoint_paths: "ckpt-1"\nall_model_checkpoint_paths: "ckpt-2"\n' +
        'all_model_checkpoint_timestamps: 1000.0\nall_model_checkpoint_timestamps: 1795228512.600398\n' +
        'last_preserved_timestamp: 1e+16\n',
    );
    expect(printCheckpointState(state({}))).toBe('');
  });

  it('12: quotes, backslashes and control characters are escaped, other Unicode stays', () => {
    const path = '\x00\t\n\r\x7f"\'\\é日😀\u2028';
    const printed = printCheckpointState(state({ modelCheckpointPath: path }));
    expect(printed).toBe('model_checkpoint_path: "\\000\\t\\n\\r\\177\\"\\\'\\\\é日😀\u2028"\n');
    expect(parseCheckpointState(printed).modelCheckpointPath).toBe(path);
  });

  it('12: what is printed reads back the same', () => {
    fc.assert(
      fc.property(states, (value) => {
        expect(parseCheckpointState(printCheckpointState(value))).toEqual(value);
      }),
      { numRuns: RUNS },
    );
  });
});

describe('12: the parser takes every layout of text format', () => {
  it.each([
    ['comments and spacing', '# a\n  model_checkpoint_path\n:\n"a" # b\n'],
    ['single quotes', "model_checkpoint_path:'a'"],
    ['joined strings', 'model_checkpoint_path: "" \'a\'\n""'],
    ['octal, hexadecimal and Unicode escapes', 'model_checkpoint_path: "\\141" last_preserved_timestamp: 0'],
    ['a hexadecimal escape', 'model_checkpoint_path: "\\x61";'],
    ['a Unicode escape', 'model_checkpoint_path: "\\u0061",'],
    ['the last of two', 'model_checkpoint_path: "b" model_checkpoint_path: "a"'],
  ])('12: %s', (_, text) => {
    expect(parseCheckpointState(text)).toEqual(state({ modelCheckpointPath: 'a' }));
  });

  it('12: short lists and numbers in every form', () => {
    const text =
      'all_model_checkpoint_timestamps: [1, 2.5, -3e2, 1e3f, inf, -Infinity, .5] all_model_checkpoint_paths: []';
    expect(parseCheckpointState(text).allModelCheckpointTimestamps).toEqual([
      1,
      2.5,
      -300,
      1000,
      Infinity,
      -Infinity,
      0.5,
    ]);
    expect(parseCheckpointState('last_preserved_timestamp: nan').lastPreservedTimestamp).toBeNaN();
  });

  it.each([
    'nonsense',
    'model_checkpoint_path "a"',
    'model_checkpoint_path: "a',
    'model_checkpoint_path: 1',
    'model_checkpoint_path: "\\x"',
    'model_checkpoint_path: "\\400"',
    'model_checkpoint_path: "\\377"',
    'model_checkpoint_path: ["a"]',
    'last_preserved_timestamp: 0x10',
    'last_preserved_timestamp: 010',
    'last_preserved_timestamp: "1"',
    'all_model_checkpoint_paths: ["a",]',
    'model_checkpoint_path: "a",,',
    'other: 1',
  ])('10: %j is refused with DATA_LOSS and where', (text) => {
    let caught: unknown;
    try {
      parseCheckpointState(text);
    } catch (error) {
      caught = error;
    }
    expect(isCheckpointError(caught) && caught.code).toBe('DATA_LOSS');
    expect(String(caught)).toMatch(/line 1, column \d+/);
  });
});

const doubles = fc.oneof(
  fc.double({ noNaN: true }),
  fc.integer({ min: -1e6, max: 2e9 }),
  fc.double({ min: 1e9, max: 2e9, noNaN: true }),
  fc.constantFrom(1e16, 1e15, 123456789012345680, 1e-4, 1e-5, 0.1, Infinity, -Infinity, 5e-324, 1.7976931348623157e308),
);
const paths = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), fc.string());
const states: fc.Arbitrary<CheckpointState> = fc.record({
  modelCheckpointPath: paths,
  allModelCheckpointPaths: fc.array(paths, { maxLength: 4 }),
  allModelCheckpointTimestamps: fc.array(doubles, { maxLength: 4 }),
  lastPreservedTimestamp: doubles,
});

// Text that is nearly text format: pieces that mean something to a parser, in any order, and mutations of real ones.
const PIECES = [
  ...[
    'model_checkpoint_path',
    'all_model_checkpoint_paths',
    'all_model_checkpoint_timestamps',
    'last_preserved_timestamp',
  ],
  ...[':', ': ', ' ', '\n', '\t', '\x1c', '\u0085', '\ufeff', '[', ']', ',', ';', '# c\n', '#', '"', "'", '{', '}'],
  ...['"a"', "'b'", '"\\n"', '"\\x4"', '"\\x41\\1"', '"\\u00e9"', '"\\U0001F600"', '"\\ud83d\\ude00"', '"\\303\\251"'],
  ...[
    '"\\u005cn"',
    '"\\q"',
    '"\\日"',
    '"\\é"',
    '"\\\\日"',
    '"日\\""',
    "'\\?'",
    '"\\x1\\u0041"',
    '"\\08"',
    '"\\777"',
    '"\\',
  ],
  ...[
    '1',
    '-1',
    '+1',
    '1.',
    '.5',
    '1e3',
    '1E+3f',
    '1F',
    '1_0',
    '1__0',
    '0',
    '00',
    '01',
    '+01',
    '0x1',
    '0_1',
    '1ff',
    '-',
  ],
  ...[
    'inf',
    '-inf',
    '+inf',
    'inff',
    '-infinityf',
    '+inff',
    'nan',
    '-nan',
    'nanf',
    '-nanf',
    'Infinity',
    'f',
    '1e',
    '1e5_0',
  ],
  ...['9007199254740993', '1e999', '-0.0', '0.1e-400'],
];
const separated = fc.array(fc.constantFrom(...PIECES), { maxLength: 12 }).map((pieces) => pieces.join(''));
const fields = fc
  .array(
    fc.tuple(
      fc.constantFrom(...PIECES.slice(0, 4)),
      fc.constantFrom(':', ' : ', ''),
      fc.constantFrom(...PIECES),
      fc.constantFrom('', ' ', '\n', ';', ',', ' # x\n'),
    ),
    { maxLength: 4 },
  )
  .map((all) => all.map((field) => field.join('')).join(''));
const strings = fc
  .array(fc.constantFrom(...'\\\\\\xuU01234567aAfnrtvb"\'?é日'.split(''), '😀', '\\u00', '\\u12', '\\U0001'), {
    maxLength: 8,
  })
  .map((parts) => `model_checkpoint_path: "${parts.join('')}"`);
const texts = fc.oneof(separated, fields, strings);

describeWithOracle('12: state files compared with TensorFlow’s', () => {
  const script = `
import sys, json
from google.protobuf import text_format
from tensorflow.python.training.checkpoint_state_pb2 import CheckpointState
import warnings
warnings.simplefilter('ignore')
job = json.load(sys.stdin)
number = lambda x: x if isinstance(x, (int, float)) else float(x)
printed = []
for s in job['states']:
  m = CheckpointState(model_checkpoint_path=s['modelCheckpointPath'], all_model_checkpoint_paths=s['allModelCheckpointPaths'],
    all_model_checkpoint_timestamps=[number(t) for t in s['allModelCheckpointTimestamps']], last_preserved_timestamp=number(s['lastPreservedTimestamp']))
  printed.append(text_format.MessageToString(m))
parsed = []
for t in job['texts']:
  m = CheckpointState()
  try:
    text_format.Merge(t, m)
    parsed.append([m.model_checkpoint_path, list(m.all_model_checkpoint_paths), [repr(x) for x in m.all_model_checkpoint_timestamps], repr(m.last_preserved_timestamp)])
  except text_format.ParseError:
    parsed.append(None)
json.dump({'printed': printed, 'parsed': parsed}, sys.stdout)
`;

  it('12: printing gives the same bytes, parsing the same values and the same refusals', async () => {
    const printedStates = fc.sample(states, { numRuns: RUNS });
    const parsedTexts = fc.sample(texts, { numRuns: 4 * RUNS });
    // JSON has no infinities and no negative zero.
    const plain = (_: string, value: unknown) =>
      typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))
        ? Object.is(value, -0)
          ? '-0.0'
          : String(value)
        : value;
    const answer = await runOracle(script, {
      input: JSON.stringify({ states: printedStates, texts: parsedTexts }, plain),
    });
    const { printed, parsed } = JSON.parse(answer) as {
      printed: string[];
      parsed: Array<[string, string[], string[], string] | null>;
    };
    expect(printedStates.map(printCheckpointState)).toEqual(printed);
    let accepted = 0;
    for (const [i, text] of parsedTexts.entries()) {
      const theirs = parsed[i]!;
      let ours: unknown = null;
      try {
        const read = parseCheckpointState(text);
        ours = [
          read.modelCheckpointPath,
          read.allModelCheckpointPaths,
          read.allModelCheckpointTimestamps.map(repr),
          repr(read.lastPreservedTimestamp),
        ];
      } catch (error) {
        if (!isCheckpointError(error)) throw error;
      }
      expect(ours, JSON.stringify(text)).toEqual(theirs);
      if (theirs !== null) accepted++;
    }
    // Both outcomes must be well represented, or the comparison shows nothing.
    expect(accepted).toBeGreaterThan(RUNS / 10);
    expect(accepted).toBeLessThan(4 * RUNS - RUNS / 10);
  });
});

/** Python's repr of a double, by way of the printer that the first half of the test compares. */
function repr(value: number): string {
  return /: (.*)\n/.exec(printCheckpointState(state({ allModelCheckpointTimestamps: [value] })))![1]!;
}
