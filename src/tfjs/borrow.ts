import type { Snapshot } from '../checkpoint/trackable.ts';
import { type BorrowedTensors, borrowTensors, releaseBorrow } from '../native/tensorflow.ts';
import { dtypeNumber } from '../tensor/dtypes.ts';
import type { TensorSource } from '../tensor/source.ts';
import { execute, type TensorFlowLink } from './node-backend.ts';
import { dtypeOf } from './runtime.ts';
import type { TfTensor } from './types.ts';

/** TensorFlow keeps a kernel for every number of inputs that it has met: powers of two up to this one are few. */
const MOST_INPUTS = 1024;

/** Where {@link BorrowedTensors.devices} has no device. */
const ON_HOST = -1;

/** What is done with tensors that TensorFlow doesn't lend after all. */
export type Otherwise = (tensors: readonly TfTensor[], reason: string) => Snapshot[];

/**
 * Tensors that are borrowed together: one op takes a thousand references in the time in which fifty could be taken one
 * by one. They are borrowed when the first of the snapshots is asked for its source, on the same turn of the event loop
 * as the captures, and given back when the last of them is released.
 */
export class BorrowBatch {
  readonly #link: TensorFlowLink;
  readonly #otherwise: Otherwise;
  readonly #tensors: (TfTensor | undefined)[] = [];
  #snapshots: readonly Snapshot[] | undefined;

  constructor(link: TensorFlowLink, otherwise: Otherwise) {
    this.#link = link;
    this.#otherwise = otherwise;
  }

  /** Whether the tensors were borrowed: no more can be added. */
  get isTaken(): boolean {
    return this.#snapshots !== undefined;
  }

  get link(): TensorFlowLink {
    return this.#link;
  }

  add(tensor: TfTensor): Snapshot {
    const i = this.#tensors.push(tensor) - 1;
    const snapshots = () => this.#take();
    return {
      get source() {
        return snapshots()[i]!.source;
      },
      release: () => {
        // Never asked for: a capture that failed at another tensor.
        if (this.#snapshots === undefined) this.#tensors[i] = undefined;
        else this.#snapshots[i]?.release?.();
      },
    };
  }

  #take(): readonly Snapshot[] {
    if (this.#snapshots !== undefined) return this.#snapshots;
    const at: number[] = [];
    const tensors: TfTensor[] = [];
    for (const [i, tensor] of this.#tensors.entries()) {
      if (tensor === undefined) continue;
      at.push(i);
      tensors.push(tensor);
    }
    let taken: Snapshot[];
    try {
      taken = borrow(this.#link, tensors);
    } catch (error) {
      taken = this.#otherwise(tensors, error instanceof Error ? error.message : String(error));
    }
    const snapshots: Snapshot[] = new Array(this.#tensors.length);
    for (const [j, i] of at.entries()) snapshots[i] = taken[j]!;
    this.#tensors.length = 0;
    this.#snapshots = snapshots;
    return snapshots;
  }
}

/** Borrows the tensors. Throws what TensorFlow threw; then nothing is borrowed. */
function borrow(link: TensorFlowLink, tensors: readonly TfTensor[]): Snapshot[] {
  const snapshots: Snapshot[] = new Array(tensors.length);
  const byType = new Map<number, number[]>();
  for (const [i, tensor] of tensors.entries()) {
    const type = link.backend.tensorMap.get(tensor.dataId).dtype;
    if (tensor.shape.includes(0)) snapshots[i] = { source: { kind: 'memory', bytes: new Uint8Array(0) } };
    else if (type !== dtypeNumber(dtypeOf(tensor))) snapshots[i] = { source: converted(link, tensor) };
    else if (byType.has(type)) byType.get(type)!.push(i);
    else byType.set(type, [i]);
  }
  const order = [...byType.values()].flat();
  if (order.length === 0) return snapshots;

  const inputs = new Map<number, TfTensor[]>();
  for (const [type, members] of byType)
    inputs.set(
      type,
      members.map((i) => tensors[i]!),
    );
  const borrowed = borrowTensors(() => executeBorrow(link, inputs));
  let held = order.length;
  const release = () => {
    if (--held === 0) releaseBorrow(borrowed);
  };
  for (const [at, i] of order.entries()) {
    snapshots[i] = { source: sourceOf(borrowed, at), release };
  }
  return snapshots;
}

function sourceOf(borrowed: BorrowedTensors, at: number): TensorSource {
  const device = borrowed.devices[at]!;
  const [address, byteLength] = [borrowed.addresses[at]!, borrowed.bytes[at]!];
  if (device === ON_HOST) return { kind: 'address', address, byteLength };
  // Without a stream: TensorFlow's are not known, so that all of the device's work is waited for.
  return { kind: 'device', pointer: address, device, byteLength };
}

/** Executes the borrow op for all of these tensors, by TensorFlow's type. */
export function executeBorrow(link: TensorFlowLink, byType: ReadonlyMap<number, readonly TfTensor[]>): void {
  for (const [type, tensors] of byType) {
    for (let start = 0; start < tensors.length; ) {
      const count = Math.min(MOST_INPUTS, 2 ** Math.floor(Math.log2(tensors.length - start)));
      execute(link, link.runtime.borrowOp, type, count, tensors.slice(start, start + count), 0);
      start += count;
    }
  }
}

/** The values of an int64 or uint8 tensor, which tfjs calls int32, as such. */
function converted({ backend }: TensorFlowLink, tensor: TfTensor): TensorSource {
  const values = backend.readSync(tensor.dataId) as ArrayLike<number | bigint>;
  return { kind: 'memory', bytes: Int32Array.from(values as ArrayLike<number>, Number) };
}
