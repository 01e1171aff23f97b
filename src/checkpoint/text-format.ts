import { CheckpointError, describeValue } from '../errors.ts';

/**
 * The part of protobuf's text format that a message of strings and doubles needs, with the leniency and the refusals
 * of the Python implementation: a state file is accepted here exactly when TensorFlow accepts it.
 *
 * Source: https://protobuf.dev/reference/protobuf/textformat-spec/ and the behaviour of google.protobuf 7.
 */

// Python's \s: unlike JavaScript's it has the four separators and NEL, and not the byte order mark.
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const SKIPPED = new RegExp(`(?:[${SPACE}]|#[^\\n]*)+`, 'y');
// A string ends at its quote or, in error, at the end of its line.
const quoted = (quote: string) =>
  `${quote}[^${quote}\\n\\\\]*(?:\\\\[^\\n][^${quote}\\n\\\\]*)*(?:${quote}|\\\\?(?=\\n|$))`;
const TOKEN = new RegExp(
  `[a-zA-Z_][0-9a-zA-Z_+-]*|(?:[0-9+-]|\\.[0-9])[0-9a-zA-Z_.+-]*|${quoted('"')}|${quoted("'")}|[^]`,
  'uy',
);

/** Splits text format into tokens; strings are unescaped and adjacent ones joined. One pass, used by one parser. */
export class TextTokenizer {
  readonly #text: string;
  #position = 0;
  #token = '';
  #start = 0;

  constructor(text: string) {
    this.#text = text;
    this.#advance();
  }

  get atEnd(): boolean {
    return this.#token === '';
  }

  tryConsume(token: string): boolean {
    if (this.#token !== token) return false;
    this.#advance();
    return true;
  }

  consume(token: string): void {
    if (!this.tryConsume(token)) throw this.#unexpected(`"${token}"`);
  }

  /** A field name: whatever stands there; whether the message has such a field is the caller's business. */
  consumeName(): string {
    if (!/^[\p{L}\p{N}_]/u.test(this.#token)) throw this.#unexpected('a field name');
    const name = this.#token;
    this.#advance();
    return name;
  }

  consumeString(): string {
    const pieces: number[] = [];
    do {
      const token = this.#token;
      const quote = token[0];
      if (quote !== '"' && quote !== "'") throw this.#unexpected('a quoted string');
      if (token.length < 2 || !token.endsWith(quote)) throw this.error('a string has no closing quote');
      const bytes = unescapeBytes(token.slice(1, -1));
      if (bytes === null) throw this.error(`the string ${token} has an escape that means nothing`);
      for (const byte of bytes) pieces.push(byte);
      this.#advance();
    } while (this.#token.startsWith('"') || this.#token.startsWith("'"));
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(pieces));
    } catch (cause) {
      throw this.error('a string is not UTF-8', cause);
    }
  }

  consumeDouble(): number {
    const value = parseDouble(this.#token);
    if (value === null) throw this.#unexpected('a number');
    this.#advance();
    return value;
  }

  error(problem: string, cause?: unknown): CheckpointError {
    const before = this.#text.slice(0, this.#start).split('\n');
    const where = `line ${before.length}, column ${before[before.length - 1]!.length + 1}`;
    return new CheckpointError('DATA_LOSS', `Not a checkpoint state in text format: ${problem} (${where}).`, { cause });
  }

  #unexpected(expected: string): CheckpointError {
    return this.error(`expected ${expected}, found ${this.#token === '' ? 'the end' : describeValue(this.#token)}`);
  }

  #advance(): void {
    SKIPPED.lastIndex = this.#position;
    if (SKIPPED.test(this.#text)) this.#position = SKIPPED.lastIndex;
    this.#start = this.#position;
    TOKEN.lastIndex = this.#position;
    this.#token = TOKEN.exec(this.#text)?.[0] ?? '';
    this.#position += this.#token.length;
  }
}

const DECIMAL = /^[+-]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:[eE][+-]?\d+(?:_\d+)*)?$/;

/** Decimal, with an optional f as in C; no octal and no hexadecimal, which text format reserves for integers. */
function parseDouble(token: string): number | null {
  if (/^-?0[0-9]/.test(token)) return null;
  for (const text of [token, token.replace(/[fF]+$/, '')]) {
    if (DECIMAL.test(text)) return Number(text.replaceAll('_', ''));
    if (/^[+-]?inf(inity)?$/i.test(text) || /^-?inf(inity)?f$/i.test(text))
      return text[0] === '-' ? -Infinity : Infinity;
    if (/^[+-]?nan$/i.test(text)) return Number.NaN;
  }
  return null;
}

const SIMPLE_ESCAPES: Readonly<Record<string, number>> = {
  '\\': 0x5c,
  "'": 0x27,
  '"': 0x22,
  a: 7,
  b: 8,
  t: 9,
  n: 10,
  v: 11,
  f: 12,
  r: 13,
};

/** The UTF-8 bytes that an escaped string stands for, or null where an escape can't be read. */
function unescapeBytes(text: string): Uint8Array | null {
  const expanded = expandUnicode(text);
  if (expanded === null) return null;
  // What is left are escapes of single bytes, so that \303\251 is one character of two bytes.
  const utf8 = Buffer.from(expanded, 'utf8');
  const source = utf8.toString('latin1');
  const bytes: number[] = [];
  const pattern = /\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([\s\S]))|\\/y;
  for (let i = 0; i < source.length; ) {
    if (source[i] !== '\\') {
      bytes.push(utf8[i++]!);
      continue;
    }
    pattern.lastIndex = i;
    const [whole, octal, hex, short, long, other] = pattern.exec(source)!;
    i += whole.length;
    if (other === undefined) {
      if (whole === '\\') return null;
      const digits = octal ?? hex ?? short ?? long!;
      const code = Number.parseInt(digits, octal === undefined ? 16 : 8);
      if (code > 255) return null;
      bytes.push(code);
    } else if (other in SIMPLE_ESCAPES) bytes.push(SIMPLE_ESCAPES[other]!);
    else if (other === '\n') continue;
    else if ('xuUN'.includes(other)) return null;
    // An escape that means nothing stays as it is written, as in Python.
    else bytes.push(0x5c, other.charCodeAt(0));
  }
  return Uint8Array.from(bytes);
}

/** Replaces \uXXXX and \UXXXXXXXX by their characters; surrogates are no characters. Null where one can't be read. */
function expandUnicode(text: string): string | null {
  let valid = text.isWellFormed();
  const pattern = /\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F])(?![0-9a-fA-F])|([\s\S]))/gu;
  const expanded = text.replace(pattern, (whole, short, long, digit, other) => {
    // Padded, lest a digit that comes out of the next escape be read as part of this one.
    if (digit !== undefined) return `\\x0${digit}`;
    if (other === 'u' || other === 'U') valid = false;
    // A backslash before a character beyond Latin-1 turns that character into its own escape, literally.
    if (other !== undefined) return other.codePointAt(0) > 0xff ? `\\\\${pythonEscape(other)}` : whole;
    const code = Number.parseInt(short ?? long, 16);
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) valid = false;
    return valid ? String.fromCodePoint(code) : '';
  });
  return valid ? expanded : null;
}

function pythonEscape(character: string): string {
  const code = character.codePointAt(0)!;
  return code > 0xffff ? `U${code.toString(16).padStart(8, '0')}` : `u${code.toString(16).padStart(4, '0')}`;
}

/** A string as text format prints it: quotes, backslashes and control characters escaped, other Unicode as it is. */
export function printString(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what has to be found
  const escaped = value.replace(/[\x00-\x1f\x7f"'\\]/g, (character) => {
    const simple = { '\t': '\\t', '\n': '\\n', '\r': '\\r', '"': '\\"', "'": "\\'", '\\': '\\\\' }[character];
    return simple ?? `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`;
  });
  return `"${escaped}"`;
}

/** A double as Python's repr prints it: the shortest digits that read back the same, `1000.0`, `1e+16`. */
export function printDouble(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const [mantissa, power] = Math.abs(value).toExponential().split('e') as [string, string];
  const digits = mantissa.replace('.', '');
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    const padded = String(Math.abs(exponent)).padStart(2, '0');
    return `${sign}${mantissa}e${exponent < 0 ? '-' : '+'}${padded}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`;
}
