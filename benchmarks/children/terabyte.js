// @ts-check
// Saves views on one buffer, as many and as long as asked. The sink that swallows the bytes is preloaded by the parent.
import { Checkpoint, CheckpointManager, HostTensor } from 'tensor-checkpoint';
import { memoryStatus, observe } from '../lib/observe.js';
import { reply } from '../lib/reply.js';

const BUFFER_BYTES = 256 * 2 ** 20;
const { tensors, bytes, directory, write } = JSON.parse(process.argv[2] ?? '{}');

const { bytes: memory } = HostTensor.allocate({ dtype: 'uint8', shape: [BUFFER_BYTES] });
memory.fill(0); // What a sparse file reads as, so that the checksums are right.
// As models have them: a thousand layers. One object with a million names would only list them in one go, in any program.
/** @type {Record<string, Record<string, HostTensor>>} */
const objects = {};
const places = Math.floor((BUFFER_BYTES - bytes) / 4096) + 1;
for (let index = 0; index < tensors; index++) {
  const data = new Float32Array(memory.buffer, memory.byteOffset + ((index * 61) % places) * 4096, bytes / 4);
  const layer = `layer_${index % 1000}`;
  objects[layer] ??= {};
  objects[layer][`weight_${Math.floor(index / 1000)}`] = new HostTensor({ dtype: 'float32', shape: [bytes / 4], data });
}
const checkpoint = new Checkpoint(objects);
const manager = new CheckpointManager(checkpoint, { directory, maxToKeep: 1, write });
const state = memoryStatus('VmRSS');
const saves = [];
for (let save = 0; save < 2; save++) {
  const { stallsMs, ...figures } = await observe(() => manager.save());
  saves.push({ ...figures, stallsMs: stallsMs.filter((stall) => stall > 5) });
}
await manager.close();
reply({ saves, stateBytes: state });
