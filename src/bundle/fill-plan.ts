import { CheckpointError } from '../errors.ts';
import { float64Column, freeColumns, uint8Column, uint32Column } from '../native/columns.ts';
import { ExtentKind } from '../native/contract.ts';
import { takeBuffers } from '../native/take-buffers.ts';
import { inTurns, type Steps, type Turns } from '../steps.ts';
import { maskCrc } from './crc.ts';
import { addressNumber, DeviceRows } from './device-rows.ts';
import { dataPath } from './names.ts';
import type { PlanTemplate } from './plan.ts';
import type { SourceColumns } from './source-columns.ts';
import type { BundlePlan } from './types.ts';

/** Rows that are filled in before the event loop may turn. */
const PIECE = 512;

/** The plan of one save: where its tensors' bytes are, in the layout of the template. */
export function* fillPlan(
  template: PlanTemplate,
  sources: SourceColumns,
  prefix: string,
  turns: Turns,
): Steps<BundlePlan> {
  const { layout, tensorOf, entryOf, keys, checksumAt } = template;
  const count = tensorOf.length;
  const kind = uint8Column(count);
  const buffer = uint32Column(count);
  const source = float64Column(count);
  const fill = (first: number, end: number): void => {
    for (let entry = first; entry < end; entry++) {
      const tensor = tensorOf[entry]!;
      buffer[tensor] = sources.buffer[entry]!;
      source[tensor] = sources.byteOffset[entry]!;
    }
  };
  yield* inTurns(turns, count, fill, PIECE);

  const devices = new DeviceRows();
  const owners: object[] = [];
  const others = Array.from(sources.others);
  const strings = count - template.patches.tensor.length;
  const values = { position: new Float64Array(strings), value: new Uint32Array(strings) };
  let string = 0;
  const fillOthers = (first: number, end: number): void => {
    for (let i = first; i < end; i++) {
      const [entry, other] = others[i]!;
      const tensor = tensorOf[entry]!;
      if (other.kind === 'stored') {
        // Not the checksum of the stored bytes, so it isn't native's to patch.
        values.position[string] = checksumAt[tensor]!;
        values.value[string++] = maskCrc(other.checksum);
        const { bytes } = other;
        if (!(bytes instanceof Uint8Array)) {
          kind[tensor] = ExtentKind.nativeMemory;
          source[tensor] = bytes.address;
          owners.push(bytes);
        }
      } else if (other.kind === 'device') {
        kind[tensor] = ExtentKind.cudaDevice;
        const keyed = keys.keyed(entry);
        buffer[tensor] = devices.add(other, keyed);
        source[tensor] = addressNumber(other.pointer, 'device address', keyed);
      } else {
        kind[tensor] = ExtentKind.pinnedMemory;
        source[tensor] = other.address;
      }
    }
  };
  yield* inTurns(turns, others.length, fillOthers);
  const { taken, buffers, owners: keepers } = yield* takeBuffers(sources.buffers, turns);
  const onDevices = devices.fields();
  const paths = Array.from(layout.fileSizes, (_, shard) => dataPath(prefix, shard, layout.shardCount));
  return {
    prefix,
    files: { paths, sizes: layout.fileSizes },
    taken,
    buffers,
    ...onDevices,
    owners: [...keepers, ...owners, ...(onDevices.owners ?? [])],
    extents: { ...template.extents, kind, buffer, source },
    tensorCount: count,
    index: { bytes: template.bytes, values, patches: template.patches, seals: template.seals },
    byteLength: template.byteLength,
    shardCount: layout.shardCount,
    free: () => freeColumns(kind, buffer, source),
    keyOf(tensor) {
      const entry = entryOf[tensor];
      if (entry === undefined) throw new CheckpointError('OUT_OF_RANGE', `There is no tensor ${tensor} in this plan.`);
      return keys.at(entry);
    },
  };
}
