/** Native's encoders, whose errors are those of the engine. */
import type { EncodedIndex, GraphColumns, GraphEncoder, IndexColumns, IndexEncoder } from './contract.ts';
import { guard } from './engine.ts';
import { loadAddon } from './loader.ts';

export type { EncodedIndex, GraphColumns, IndexColumns };

export function encodeIndex(columns: IndexColumns): IndexEncoder {
  return guard(() => loadAddon().encodeIndex(columns));
}

export function encodeGraph(columns: GraphColumns): GraphEncoder {
  return guard(() => loadAddon().encodeGraph(columns));
}
