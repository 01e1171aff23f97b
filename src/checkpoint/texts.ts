import type { TextRows } from '../native/decode.ts';

/** Many texts, by row. */
export interface Texts {
  readonly length: number;
  /** The text of a row that there is. */
  at(row: number): string;
}

export function textsOf(strings: readonly string[]): Texts {
  return { length: strings.length, at: (row) => strings[row]! };
}

/** Rows whose texts are cut from one string: whoever asks for one row mostly asks for the next. A text keeps all of that string, which mustn't be long. */
const PIECE_ROWS = 256;
const PIECE_BYTES = 2 ** 15;

/** ASCII texts in bytes, each behind the last one, made into strings when they are asked for. */
export class AsciiTexts implements Texts {
  readonly #bytes: Buffer;
  readonly #rows: TextRows;
  /** The rows [first, end) as one string, of which each is a part. */
  #piece = '';
  #first = 0;
  #end = 0;

  constructor(bytes: Uint8Array, rows: TextRows) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#rows = rows;
  }

  get length(): number {
    return this.#rows.start.length;
  }

  at(row: number): string {
    const { start, end } = this.#rows;
    if (row < this.#first || row >= this.#end) this.#read(row);
    const from = start[this.#first]!;
    return this.#piece.slice(start[row]! - from, end[row]! - from);
  }

  #read(row: number): void {
    const { start, end } = this.#rows;
    let last = Math.min(row + PIECE_ROWS, this.length);
    // Other things may lie between them.
    if (end[last - 1]! - start[row]! > PIECE_BYTES) last = row + 1;
    this.#piece = this.#bytes.toString('latin1', start[row], end[last - 1]);
    this.#first = row;
    this.#end = last;
  }
}
