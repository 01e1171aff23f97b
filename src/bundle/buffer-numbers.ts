import type { MemoryRange } from '../tensor/memory.ts';
import { ObjectColumn } from './object-column.ts';

/** The buffers that a program's extents lie in, numbered. */
export class BufferNumbers {
  readonly buffers = new ObjectColumn<ArrayBufferLike>();
  readonly #numbers = new Map<ArrayBufferLike, number>();
  /** Views of one large buffer mostly come one after the other. */
  #last: ArrayBufferLike | undefined;
  #lastNumber = 0;

  add(buffer: ArrayBufferLike): number {
    this.buffers.push(buffer);
    return this.buffers.length - 1;
  }

  numberOf({ buffer, byteLength }: MemoryRange): number {
    // Memory of a tensor's own is not looked up: at 100,000 tensors that would cost more than all the rest.
    if (buffer.byteLength === byteLength) return this.add(buffer);
    if (buffer === this.#last) return this.#lastNumber;
    let number = this.#numbers.get(buffer);
    if (number === undefined) {
      number = this.add(buffer);
      this.#numbers.set(buffer, number);
    }
    this.#last = buffer;
    this.#lastNumber = number;
    return number;
  }
}
