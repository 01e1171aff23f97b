import { Holds } from '../../src/checkpoint/object-graph.ts';
import { textsOf } from '../../src/checkpoint/texts.ts';
import type { GraphColumns, GraphEncoder, IndexColumns, IndexEncoder } from '../../src/native/contract.ts';
import { dtypeFromNumber } from '../../src/tensor/dtypes.ts';
import { encodeGraph } from './graph-writer.ts';
import { encodeEntry, encodeHeader } from './messages.ts';
import { TableWriter } from './table-writer.ts';

/** `encodeIndex` of the contract in plain JavaScript. */
export function indexEncoder(columns: IndexColumns): IndexEncoder {
  const { keys, order, tensor, dtype, dims, dimEnd, size, shard, offset } = columns;
  const table = new TableWriter();
  const checksumAt = new Float64Array(order.length);
  table.add('', (value) => value.append(encodeHeader(columns.shards)));
  return {
    add(first, end) {
      for (let entry = first; entry < end; entry++) {
        const number = tensor[entry]!;
        const fields = {
          dtype: dtypeFromNumber(dtype[entry]!)!,
          shape: [...dims.subarray(dimEnd[entry - 1] ?? 0, dimEnd[entry])],
          shard: shard[number]!,
          offset: offset[number]!,
          size: size[entry]!,
        };
        checksumAt[number] = table.add(keys[order[entry]!]!, (value) => encodeEntry(value, fields, 0)) - 4;
      }
    },
    finish: () => ({ ...table.finish(), checksumAt }),
  };
}

/** `encodeGraph` of the contract in plain JavaScript. */
export function graphEncoder(columns: GraphColumns): GraphEncoder {
  const { childStart, valueStart, slotStart, keys, room } = columns;
  const nodeCount = childStart.length - 1;
  const holds = new Uint8Array(nodeCount);
  for (let changed = true; changed; ) {
    changed = false;
    for (let id = 0; id < nodeCount; id++) {
      const children = columns.childIds.subarray(childStart[id], childStart[id + 1]);
      const own = valueStart[id] !== valueStart[id + 1] || slotStart[id] !== slotStart[id + 1];
      if (holds[id] === Holds.values || !(own || children.some((child) => holds[child] === Holds.values))) continue;
      holds[id] = Holds.values;
      changed = true;
    }
  }
  const values = { attributeStart: valueStart, attributeKeys: textsOf(keys) };
  const names = { childNames: textsOf(columns.childNames), slotNames: textsOf(columns.slotNames) };
  return {
    write: () => false,
    finish() {
      const graph = encodeGraph({ ...columns, ...values, ...names, nodeCount, savers: new Map(), holds });
      const bytes = new Uint8Array(room + graph.length);
      bytes.set(graph, room);
      return bytes;
    },
  };
}
