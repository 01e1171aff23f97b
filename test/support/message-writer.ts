import { WireWriter } from '../../src/bundle/wire-writer.ts';

/** Writes the messages that native writes in the package, for tests: plainly, and a second time. */
export class MessageWriter extends WireWriter {
  /** `value`: an integer from −2^53 to 2^53; negative ones as ten-byte two's complement. */
  override varint(value: number): void {
    if (value >= 0) {
      super.varint(value);
      return;
    }
    // −v is ~(v − 1): the groups of v − 1, inverted; the sign fills the rest of the 64 bits.
    let rest = -(value + 1);
    for (let i = 0; i < 9; i++) {
      this.byte((~(rest % 128) & 0x7f) | 0x80);
      rest = Math.floor(rest / 128);
    }
    this.byte(1);
  }

  /** A field whose value is a number, left out where that is zero, as proto3 has it. */
  numberField(tag: number, value: number): void {
    if (value === 0) return;
    this.byte(tag);
    this.varint(value);
  }

  /** A field whose value is text, left out where that is empty. */
  textField(tag: number, value: string): void {
    if (value === '') return;
    this.byte(tag);
    const start = this.open();
    this.append(Buffer.from(value));
    this.close(start);
  }

  /** Begins a length-delimited part, whose content is what is written until {@link close}, which takes what this returns. */
  open(): number {
    this.byte(0);
    return this.length;
  }

  close(start: number): void {
    this.setLength(start, this.length - start);
  }

  /** Puts a length into the place that {@link open} left before `start`. */
  setLength(start: number, length: number): void {
    const content = this.view().slice(start);
    this.truncate(start - 1);
    this.varint(length);
    this.append(content);
  }
}
