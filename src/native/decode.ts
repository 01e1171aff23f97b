/** Native's decoders as promises, whose errors are those of the engine. */
import type { FoundIndex, GraphRows, IndexRows, KeyColumns, TextRows } from './contract.ts';
import { guard, toCheckpointError, unknownError } from './engine.ts';
import { loadAddon } from './loader.ts';

export type { FoundIndex, GraphRows, IndexRows, KeyColumns, TextRows };

/** Reads an index file; NOT_FOUND, OUT_OF_RANGE beyond `maxBytes`. */
export function readIndex(path: string, maxBytes: number, elementBytes: Uint8Array, seed: number): Promise<FoundIndex> {
  return new Promise((resolve, reject) => {
    guard(() =>
      loadAddon().readIndex(path, maxBytes, elementBytes, seed, (error, found) => {
        if (error || !found) reject(toCheckpointError(error ?? unknownError(path)));
        else resolve(found);
      }),
    );
  });
}

/** Reads an object graph; null where it is not of the plain kind. The bytes must not be changed until then. */
export function readGraph(bytes: Uint8Array, keys: KeyColumns): Promise<GraphRows | null> {
  return new Promise((resolve, reject) => {
    guard(() =>
      loadAddon().readGraph({ bytes, keys }, (error, rows) => {
        if (error) reject(toCheckpointError(error));
        else resolve(rows ?? null);
      }),
    );
  });
}
