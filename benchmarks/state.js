// The state that the benchmark saves: a few large tensors, some middle ones, many small ones.
import { HostTensor } from 'tensor-checkpoint';

const MiB = 2 ** 20;

/** Counts of 96 MiB, 1 MiB and 4 KiB float32 tensors that make about `bytes`: 40 + 256 + 1000 for 4 GiB. */
export function layout(bytes) {
  const scale = bytes / (40 * 96 * MiB + 256 * MiB + 1000 * 4096);
  const count = (full) => Math.max(1, Math.round(full * scale));
  return [
    { count: count(40), bytes: 96 * MiB },
    { count: count(256), bytes: MiB },
    { count: count(1000), bytes: 4096 },
  ];
}

/** Tensors of that layout in memory of ours, empty or filled with numbers that no disk can compress. */
export function makeState(bytes, { fill }) {
  const objects = {};
  let seed = 0x9e3779b9;
  for (const group of layout(bytes)) {
    for (let index = 0; index < group.count; index++) {
      const tensor = HostTensor.allocate({ dtype: 'float32', shape: [group.bytes / 4] });
      if (fill) {
        const words = new Uint32Array(tensor.bytes.buffer, tensor.bytes.byteOffset, group.bytes / 4);
        for (let word = 0; word < words.length; word++) {
          seed ^= seed << 13;
          seed ^= seed >>> 17;
          seed ^= seed << 5;
          words[word] = seed & 0xbfffffff; // no NaN and no infinity
        }
      }
      objects[`t${group.bytes}_${index}`] = tensor;
    }
  }
  return objects;
}

export function stateBytes(objects) {
  return Object.values(objects).reduce((sum, tensor) => sum + tensor.byteLength, 0);
}
