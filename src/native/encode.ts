/** Native's encoders, whose errors are those of the engine. */
import type { EncodedIndex, GraphColumns, GraphEncoder, IndexColumns, IndexEncoder } from './contract.ts';
import { guard } from './engine.ts';
import { loadAddon } from './loader.ts';

export type { EncodedIndex, GraphColumns, IndexColumns };

export function encodeIndex(columns: IndexColumns): IndexEncoder {
  const encoder = guard(() => loadAddon().encodeIndex(columns));
  return {
    add: (first, end) => guard(() => encoder.add(first, end)),
    finish: () => guard(() => encoder.finish()),
  };
}

export function encodeGraph(columns: GraphColumns): GraphEncoder {
  const encoder = guard(() => loadAddon().encodeGraph(columns));
  return {
    write: (count) => guard(() => encoder.write(count)),
    finish: () => guard(() => encoder.finish()),
  };
}
