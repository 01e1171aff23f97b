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
    if (value !== '') this.message(tag, (text) => text.append(Buffer.from(value)));
  }

  /** A length-delimited field, whose content `write` writes. */
  message(tag: number, write: (content: MessageWriter) => void): void {
    const content = new MessageWriter();
    write(content);
    this.byte(tag);
    this.varint(content.length);
    this.append(content.view());
  }
}
