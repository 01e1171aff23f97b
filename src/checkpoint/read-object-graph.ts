import type { Bundle } from '../bundle/index.ts';
import { type GraphRows, readGraph } from '../native/decode.ts';
import { promiseOf, type Turns } from '../steps.ts';
import { decodeObjectGraph } from './decode-object-graph.ts';
import type { ObjectGraph, RegisteredSaver } from './object-graph.ts';
import { AsciiTexts } from './texts.ts';

const NO_SAVERS: ReadonlyMap<number, RegisteredSaver> = new Map();

/**
 * Reads and checks a stored graph of this bundle: natively where it is of the plain kind, with the row of each key in the index,
 * else here, where what is wrong with it is found, too.
 */
export async function readObjectGraph(serialized: Uint8Array, bundle: Bundle, turns: Turns): Promise<ObjectGraph> {
  const rows = await readGraph(serialized, bundle.keyColumns);
  if (rows === null) return promiseOf(decodeObjectGraph(serialized, bundle.prefix, turns));
  return graphOfRows(serialized, rows);
}

export function graphOfRows(serialized: Uint8Array, rows: GraphRows): ObjectGraph {
  const texts = (of: GraphRows['keys']) => new AsciiTexts(serialized, of);
  const attributeNames = texts(rows.attributeNames);
  return {
    nodeCount: rows.holds.length,
    childStart: rows.childStart,
    childIds: rows.childIds,
    childNames: texts(rows.childNames),
    attributeStart: rows.attributeStart,
    attributes: rows.attributes,
    attributeNames: Array.from({ length: attributeNames.length }, (_, i) => attributeNames.at(i)),
    attributeKeys: texts(rows.keys),
    entryRows: rows.entryRows,
    slotStart: rows.slotStart,
    slotVariables: rows.slotVariables,
    slotNames: texts(rows.slotNames),
    slotIds: rows.slotIds,
    savers: NO_SAVERS,
    holds: rows.holds,
  };
}
