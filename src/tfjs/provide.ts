import { placeTensor, provideTensor, releaseBorrow } from '../native/tensorflow.ts';
import { type DType, dtypeNumber, elementSize } from '../tensor/dtypes.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { elementCount } from '../tensor/shape.ts';
import type { DeviceMemory } from '../tensor/source.ts';
import { execute, type TensorFlowLink, type TensorFlowLinks } from './node-backend.ts';
import type { TfTensor } from './types.ts';

const PROVIDED: ReadonlySet<string> = new Set(['float32', 'int32', 'bool', 'complex64']);
/** What TensorFlow has on its GPU, where there is one: int32 stays on the host. */
const ON_GPU: ReadonlySet<string> = new Set(['float32', 'bool', 'complex64']);
/** TensorFlow waits ten seconds for memory to become free before it says that there is none. */
const NO_MEMORY_FOR_MS = 60_000;

/** Whether {@link provide} can take memory with values of this type. */
export function isProvided(link: TensorFlowLink, dtype: string): boolean {
  return PROVIDED.has(dtype) && !(link.onGpu && ON_GPU.has(dtype));
}

/**
 * A tensor of tfjs-node's in the very memory of `value`, which TensorFlow owns from then on: nothing is copied, and
 * `value` is left without memory. undefined, with `value` as it was, where that can't be: for strings, empty tensors and
 * what belongs on a GPU, and for memory that isn't the engine's own.
 */
export function provide(link: TensorFlowLink, value: HostTensor, links: TensorFlowLinks): TfTensor | undefined {
  if (!isProvided(link, value.dtype)) return undefined;
  const { buffer, byteOffset, byteLength } = value.memory;
  if (byteLength === 0 || byteOffset !== 0 || byteLength !== buffer.byteLength || !(buffer instanceof ArrayBuffer)) {
    return undefined;
  }
  const type = dtypeNumber(value.dtype);
  let tensor: TfTensor | undefined;
  try {
    provideTensor(buffer, type, value.shape, () => {
      tensor = execute(link, link.runtime.provideOp, type, 1, [], 1)[0];
    });
  } catch (error) {
    links.giveUp(link, `TensorFlow takes no memory: ${error instanceof Error ? error.message : String(error)}`);
  }
  return tensor;
}

/** A tensor on TensorFlow's GPU, to be filled. */
export interface PlacedTensor {
  readonly tensor: TfTensor;
  readonly memory: DeviceMemory;
  /** To be called when nothing is written to the memory any more. */
  release(): void;
}

/** Makes tensors on TensorFlow's GPU: what is restored is read straight into their memory. */
export class Placement {
  readonly #links: TensorFlowLinks;
  #noMemoryUntil = 0;

  constructor(links: TensorFlowLinks) {
    this.#links = links;
  }

  /** A tensor of undefined content. undefined: this one isn't on a GPU, or there is no memory for another. */
  place(dtype: DType, shape: readonly number[]): PlacedTensor | undefined {
    const link = this.#links.current();
    if (typeof link === 'string' || !link.onGpu || !ON_GPU.has(dtype) || shape.includes(0)) return undefined;
    if (performance.now() < this.#noMemoryUntil) return undefined;
    const type = dtypeNumber(dtype);
    const byteLength = elementCount(shape) * elementSize(dtype);
    let tensor: TfTensor | undefined;
    try {
      const borrowed = placeTensor(type, shape, byteLength, () => {
        tensor = execute(link, link.runtime.provideOp, type, 1, [], 1)[0];
      });
      const [pointer, device] = [borrowed.addresses[0]!, borrowed.devices[0]!];
      const memory: DeviceMemory = { kind: 'device', pointer, device, byteLength };
      return { tensor: tensor!, memory, release: () => releaseBorrow(borrowed) };
    } catch {
      tensor?.dispose();
      // What is restored now goes through the host, which needs the memory of one tensor more, not that of all.
      this.#noMemoryUntil = performance.now() + NO_MEMORY_FOR_MS;
      return undefined;
    }
  }
}
