import type { Snapshot } from '../checkpoint/trackable.ts';
import type { TensorSource } from '../tensor/source.ts';
import { BorrowBatch } from './borrow.ts';
import type { TensorFlowLink } from './node-backend.ts';
import type { Runtime } from './runtime.ts';
import type { TfTensor } from './types.ts';

/**
 * Freezes tensors, each in the cheapest way that its backend allows:
 *
 * - tensorflow (tfjs-node): TensorFlow lends its own buffers. Nothing is copied, and the snapshot is complete at once.
 * - cpu: the backend computes in memory that JavaScript sees, and its own array is the source.
 * - others: a reference to the buffer is taken, which costs nothing, and the bytes are read afterwards, one tensor at a
 *   time: a backend whose `data()` is a synchronous copy holds up the event loop for one tensor, not for all of them.
 */
export class Freezer {
  readonly #runtime: Runtime;
  #batch: BorrowBatch | undefined;
  /** Settles when the last read that was asked for is done. */
  #reads: Promise<unknown> = Promise.resolve();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  capture(tensor: TfTensor): Snapshot {
    if (this.#runtime.readsInPlace && tensor.dtype !== 'string') {
      return { source: toSource(tensor.dataSync()) };
    }
    const link = this.#runtime.links.current();
    if (typeof link === 'string') return this.#reference(tensor);
    // Not by reference: dispose() clears the strings of a tensor in place.
    if (tensor.dtype === 'string') return { source: copiedStrings(link, tensor) };
    return this.#batchOf(link).add(tensor);
  }

  #batchOf(link: TensorFlowLink): BorrowBatch {
    if (this.#batch === undefined || this.#batch.isTaken || this.#batch.link !== link) {
      this.#batch = new BorrowBatch(link, (tensors, reason) => {
        this.#runtime.links.giveUp(link, `TensorFlow lends no tensors: ${reason}`);
        return tensors.map((tensor) => this.#reference(tensor));
      });
    }
    return this.#batch;
  }

  #reference(tensor: TfTensor): Snapshot {
    const frozen = this.#runtime.freeze(tensor);
    let disposed = false;
    const release = () => {
      if (!disposed) frozen.dispose();
      disposed = true;
    };
    const source = this.#reads.then(async () => {
      await new Promise(setImmediate);
      if (disposed) throw new Error('the snapshot was released before it was read');
      const values = frozen.dtype === 'string' ? await frozen.bytes() : await frozen.data();
      // The values are a copy of ours by now: the backend may have its memory back while they are written.
      release();
      return toSource(values);
    });
    this.#reads = source.catch(() => {});
    return { source, release };
  }
}

function copiedStrings({ backend }: TensorFlowLink, tensor: TfTensor): TensorSource {
  const elements = backend.readSync(tensor.dataId) as Uint8Array[];
  return { kind: 'strings', elements: elements.map((element) => element.slice()) };
}

function toSource(values: unknown): TensorSource {
  if (Array.isArray(values)) return { kind: 'strings', elements: values as Uint8Array[] };
  const view = values as Uint8Array;
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  // A tensor may be made over memory of the user's that native code can't hold on to.
  const borrowable = bytes.buffer instanceof ArrayBuffer && bytes.buffer.resizable !== true;
  return { kind: 'memory', bytes: borrowable ? bytes : bytes.slice() };
}
