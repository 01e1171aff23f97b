import { provideTensor } from '../native/tensorflow.ts';
import { dtypeNumber } from '../tensor/dtypes.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { execute, type TensorFlowLink, type TensorFlowLinks } from './node-backend.ts';
import type { TfTensor } from './types.ts';

const PROVIDED: ReadonlySet<string> = new Set(['float32', 'int32', 'bool', 'complex64']);

/**
 * A tensor of tfjs-node's in the very memory of `value`, which TensorFlow owns from then on: nothing is copied, and
 * `value` is left without memory. undefined, with `value` as it was, where that can't be: for strings and empty tensors,
 * and for memory that isn't the engine's own.
 */
export function provide(link: TensorFlowLink, value: HostTensor, links: TensorFlowLinks): TfTensor | undefined {
  if (!PROVIDED.has(value.dtype)) return undefined;
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
