// @ts-check
// The state that is saved and restored, in memory of the kind asked for.
import { Checkpoint, HostTensor } from 'tensor-checkpoint';

/** @typedef {import('./layouts.js').Layout} Layout */
/** @typedef {{ layout: Layout, memory: 'own' | 'heap' | 'odd', state: 'host' | 'tfjs' }} StateOrder */

const PAGE = 4096;
const NOISE_WORDS = 2 ** 22;

/**
 * A Checkpoint over the state, and the memory of each tensor.
 * @param {StateOrder} order `memory`: `own` of HostTensor.allocate; `heap` of JavaScript's own arrays; `odd` 4 bytes
 *   beside the alignment that direct I/O wants
 * @param {{ fill: boolean }} options filled with numbers that no disk can compress, or left as the allocator gives it
 */
export async function makeState({ layout, memory, state }, { fill }) {
  const noise = fill ? makeNoise() : null;
  let turn = 0;
  /** @type {HostTensor[]} */
  const tensors = [];
  /** @type {Record<string, HostTensor>} */
  const objects = {};
  for (const group of layout.groups) {
    for (let index = 0; index < group.count; index++) {
      const tensor = makeTensor(memory, group.dtype, group.bytes);
      turn = (turn + 1013) % 65536; // No two tensors are alike.
      if (noise) fillWith(noise, tensor, turn);
      objects[`${group.name}_${index}`] = tensor;
      tensors.push(tensor);
    }
  }
  const memories = tensors.map((tensor) => tensor.memory);
  if (state === 'host') return { checkpoint: new Checkpoint(objects), memories };
  const [tf, adapter] = await tfjs();
  const variables = tensors.map((tensor) => tf.variable(tf.tensor(tensor.data, tensor.shape, 'float32')));
  return { checkpoint: new Checkpoint({ variables }, { adapters: [adapter(tf)] }), memories };
}

/** Writes to every page, so that the memory exists. @param {readonly { buffer: ArrayBufferLike, byteOffset: number, byteLength: number }[]} memories */
export function touch(memories) {
  for (const { buffer, byteOffset, byteLength } of memories) {
    for (let start = 0; start < byteLength; start += 2 ** 30) {
      const bytes = new Uint8Array(buffer, byteOffset + start, Math.min(2 ** 30, byteLength - start));
      for (let at = 0; at < bytes.length; at += PAGE) bytes[at] = 1;
    }
  }
}

/** @param {StateOrder['memory']} memory @param {'float32' | 'bfloat16'} dtype @param {number} bytes */
function makeTensor(memory, dtype, bytes) {
  const shape = [bytes / (dtype === 'float32' ? 4 : 2)];
  if (memory === 'own') return HostTensor.allocate({ dtype, shape });
  const elements = /** @type {number} */ (shape[0]);
  const buffer = new ArrayBuffer(bytes + (memory === 'odd' ? 4 : 0));
  const offset = memory === 'odd' ? 4 : 0;
  const data =
    dtype === 'float32' ? new Float32Array(buffer, offset, elements) : new Uint16Array(buffer, offset, elements);
  return new HostTensor({ dtype, shape, data });
}

/** Random words that are neither NaN nor infinite as float32. */
function makeNoise() {
  const noise = new Uint32Array(NOISE_WORDS);
  let seed = 0x9e3779b9;
  for (let word = 0; word < noise.length; word++) {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    noise[word] = seed & 0xbfffffff;
  }
  return noise;
}

/** @param {Uint32Array} noise @param {HostTensor} tensor @param {number} from */
function fillWith(noise, tensor, from) {
  const { buffer, byteOffset, byteLength } = tensor.memory;
  const source = new Uint16Array(noise.buffer);
  const step = source.length - from;
  for (let at = 0; at < byteLength / 2; at += step) {
    const length = Math.min(step, byteLength / 2 - at);
    new Uint16Array(buffer, byteOffset + at * 2, length).set(source.subarray(from, from + length));
  }
}

/** Loads what making the state takes, so that it isn't timed. @param {StateOrder} order */
export async function prepare({ state }) {
  if (state === 'tfjs') await tfjs();
}

/** @returns {Promise<[any, (tf: any) => any]>} the user's tf is any version of TensorFlow.js, so nothing is known of its type */
async function tfjs() {
  const { tfjs: adapter } = await import('tensor-checkpoint/tfjs');
  try {
    return [await import('@tensorflow/tfjs'), adapter];
  } catch (cause) {
    throw new Error('--state tfjs needs TensorFlow.js: npm install @tensorflow/tfjs', { cause });
  }
}
