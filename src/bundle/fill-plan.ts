import { CheckpointError, invalidArgument } from '../errors.ts';
import { ExtentKind } from '../native/contract.ts';
import { takeBuffers } from '../native/take-buffers.ts';
import { inTurns, type Steps, type Turns } from '../steps.ts';
import { describeShape, elementCount } from '../tensor/shape.ts';
import type { TensorSource } from '../tensor/source.ts';
import { BufferNumbers } from './buffer-numbers.ts';
import { maskCrc } from './crc.ts';
import { addressNumber, DeviceRows } from './device-rows.ts';
import { dataPath } from './names.ts';
import type { PlanTemplate } from './plan.ts';
import { writeStrings } from './strings.ts';
import type { BundlePlan } from './types.ts';

/** How much of an index is copied before the event loop may turn. Bytes. */
const COPY_PIECE = 2 ** 20;

/** The plan of one save: where its tensors' bytes are, in the layout of the template. */
export function* fillPlan(
  template: PlanTemplate,
  sources: readonly TensorSource[],
  prefix: string,
  turns: Turns,
): Steps<BundlePlan> {
  const { layout, tensorOf, entryOf, keys, checksumAt, sizes } = template;
  const count = tensorOf.length;
  const bytes = new Uint8Array(template.bytes.length);
  const copy = (from: number, to: number) => bytes.set(template.bytes.subarray(from, to), from);
  yield* inTurns(turns, bytes.length, copy, COPY_PIECE);
  const view = new DataView(bytes.buffer);

  const extents = {
    kind: new Uint8Array(count),
    buffer: new Uint32Array(count),
    source: new Float64Array(count),
    bytes: new Float64Array(count),
    file: layout.shard,
    fileOffset: layout.offset,
    tensor: new Uint32Array(count),
  };
  const memory = new BufferNumbers();
  const devices = new DeviceRows();
  const strings = new Uint8Array(template.stringBytes);
  const stringsBuffer = template.stringCount > 0 ? memory.add(strings.buffer) : 0;
  let stringsAt = 0;
  const patches = {
    position: new Float64Array(count - template.stringCount),
    tensor: new Uint32Array(count - template.stringCount),
  };
  let patch = 0;
  // In the order given, which is the order in memory: with many tensors this loop waits for memory, nothing else.
  const fill = (first: number, end: number): void => {
    for (let entry = first; entry < end; entry++) {
      const tensor = tensorOf[entry]!;
      const source = sources[entry]!;
      extents.tensor[tensor] = tensor;
      extents.bytes[tensor] = sizes[entry]!;
      if (source.kind === 'strings') {
        checkStringCount(keys[entry]!, template.shapes[entry]!, source.elements.length);
        // Not the checksum of the stored bytes, so it isn't native's to patch.
        view.setUint32(checksumAt[tensor]!, maskCrc(writeStrings(source.elements, strings, stringsAt)), true);
        extents.buffer[tensor] = stringsBuffer;
        extents.source[tensor] = stringsAt;
        stringsAt += sizes[entry]!;
        continue;
      }
      if (source.kind === 'memory') {
        extents.buffer[tensor] = memory.numberOf(source.bytes);
        extents.source[tensor] = source.bytes.byteOffset;
      } else if (source.kind === 'device') {
        const key = keys[entry]!;
        extents.kind[tensor] = ExtentKind.cudaDevice;
        extents.buffer[tensor] = devices.add(source, key);
        extents.source[tensor] = addressNumber(source.pointer, 'device address', key);
      } else {
        extents.kind[tensor] = ExtentKind.pinnedMemory;
        extents.source[tensor] = source.address;
      }
      patches.position[patch] = checksumAt[tensor]!;
      patches.tensor[patch++] = tensor;
    }
  };
  yield* inTurns(turns, count, fill);
  const taken = yield* takeBuffers(memory.buffers, turns);
  const paths = Array.from(layout.fileSizes, (_, shard) => dataPath(prefix, shard, layout.shardCount));
  return {
    prefix,
    files: { paths, sizes: layout.fileSizes },
    buffers: memory.buffers,
    taken,
    ...devices.fields(),
    extents,
    tensorCount: count,
    index: { bytes, patches, seals: template.seals },
    byteLength: template.byteLength,
    shardCount: layout.shardCount,
    keyOf(tensor) {
      const key = keys[entryOf[tensor]!];
      if (key === undefined) throw new CheckpointError('OUT_OF_RANGE', `There is no tensor ${tensor} in this plan.`);
      return key;
    },
  };
}

function checkStringCount(key: string, shape: readonly number[], given: number): void {
  const expected = elementCount(shape);
  if (given === expected) return;
  throw invalidArgument(`'${key}': shape ${describeShape(shape)} has ${expected} strings, given ${given}.`, { key });
}
