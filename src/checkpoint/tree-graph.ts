import { encodeGraph } from '../native/encode.ts';
import type { Steps, Turns } from '../steps.ts';
import { attributeName } from './keys.ts';
import type { ObjectTree } from './tree.ts';

/** Edges, values and nodes that are serialized before the event loop may turn. */
const PIECE = 256;

/** What the values of a tree are called in its graph, in their order. */
export interface ValueNames {
  readonly keys: readonly string[];
  /** The attributes that they are, by their numbers in `attributeNames`. */
  readonly attributes: Uint32Array;
  readonly attributeNames: readonly string[];
}

/**
 * Serializes the graph of a tree, as TensorFlow writes it for the same objects (but for `full_name`, which it has no use for).
 *
 * @param room bytes that are left free before it.
 */
export function* serializedGraph(tree: ObjectTree, names: ValueNames, room: number, turns: Turns): Steps<Uint8Array> {
  const { edgeStart, edgeTargets, edgeNames, valueStart, slotStart, slotVariables, slotNames, slotIds } = tree;
  const edges = { childStart: edgeStart, childIds: edgeTargets, childNames: edgeNames };
  const values = { valueStart, ...names, attributeNames: names.attributeNames.map(attributeName) };
  const encoder = encodeGraph({ ...edges, ...values, slotStart, slotVariables, slotNames, slotIds, room });
  while (encoder.write(PIECE)) if (turns.due) yield turns.next();
  return encoder.finish();
}
