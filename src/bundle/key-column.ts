import { invalidArgument } from '../errors.ts';
import { encodeTexts, sortTexts, type TextColumn } from '../native/encode.ts';
import type { Steps, Turns } from '../steps.ts';
import type { Keyed } from './types.ts';

/** The keys of the tensors of a checkpoint, in UTF-8: a million strings would weigh on every garbage collection. */
export class KeyColumn implements TextColumn {
  readonly text: Uint8Array;
  readonly start: Uint32Array;

  constructor({ text, start }: TextColumn) {
    this.text = text;
    this.start = start;
  }

  /** @throws CheckpointError INVALID_ARGUMENT: a key that no bundle can hold. */
  static *of(keys: readonly string[], turns: Turns): Steps<KeyColumn> {
    keys.forEach(checkKey);
    return new KeyColumn(yield* encodeTexts(keys, turns));
  }

  get length(): number {
    return this.start.length - 1;
  }

  /** The key of a row that there is. */
  at(row: number): string {
    return bufferOf(this.text).toString('utf8', this.start[row], this.start[row + 1]);
  }

  /** The key of a row for whoever needs it for a message only. */
  keyed(row: number): Keyed {
    const at = () => this.at(row);
    return {
      get key() {
        return at();
      },
    };
  }

  equals(other: KeyColumn): boolean {
    if (this === other) return true;
    return bufferOf(this.text).equals(other.text) && bufferOf(this.start).equals(bufferOf(other.start));
  }

  /** @returns the rows in the order of their keys. @throws CheckpointError INVALID_ARGUMENT where two keys are the same. */
  *sorted(turns: Turns): Steps<Uint32Array> {
    const { rows, repeated } = yield* sortTexts(this, turns);
    if (repeated === null) return rows;
    const key = this.at(repeated);
    throw invalidArgument(`Two tensors have the key '${key}'.`, { key });
  }
}

function checkKey(key: string): void {
  if (typeof key !== 'string' || key === '') throw invalidArgument('A key is a string that is not empty.');
  if (key.charCodeAt(0) === 0) {
    throw invalidArgument(
      `The key ${JSON.stringify(key)} starts with a zero byte, which marks parts of sliced tensors.`,
    );
  }
  if (!key.isWellFormed()) {
    throw invalidArgument(`The key ${JSON.stringify(key)} has a lone surrogate, which UTF-8 can't express.`, { key });
  }
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array | Uint32Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
