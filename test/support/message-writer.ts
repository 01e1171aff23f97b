import { WireWriter } from '../../src/bundle/wire-writer.ts';

/** Writes the messages that native writes in the package, for tests: plainly, and a second time. */
export class MessageWriter extends WireWriter {
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
