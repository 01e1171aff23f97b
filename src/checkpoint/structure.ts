import { HEAD_BYTES, type StoredStrings, storedInPlace } from '../bundle/strings.ts';
import { inTurns, type Steps, type Turns } from '../steps.ts';
import { attributeKey, OBJECT_GRAPH_KEY } from './keys.ts';
import type { ObjectTree } from './tree.ts';
import { serializedGraph } from './tree-graph.ts';

/** The columns that keys and graph follow from, beside the values' attributes. */
const COLUMNS = [
  'edgeStart',
  'edgeTargets',
  'edgeNames',
  'valueStart',
  'slotStart',
  'slotVariables',
  'slotNames',
  'slotIds',
] as const;

/** What a tree's keys and graph follow from. It holds no object of the caller's: those may be gone by the next save. */
export interface Structure extends Pick<ObjectTree, (typeof COLUMNS)[number]> {
  /** Of each value, its number in `attributeNames`. */
  readonly attributes: Uint32Array;
  readonly attributeNames: readonly string[];
  /** The key of each value, and behind them that of the graph. */
  readonly keys: readonly string[];
  /** The object graph, serialized, as the string tensor that it is. */
  readonly graph: StoredStrings;
}

/**
 * The structure of a tree: the last one where that is still right. In a training loop the structure stays, and comparing
 * it is far cheaper than composing 100,000 keys again.
 */
export function* structureOf(tree: ObjectTree, last: Structure | undefined, turns: Turns): Steps<Structure> {
  if (last !== undefined && (yield* isSame(tree, last, turns))) return last;
  const { edgeStart, edgeTargets, edgeNames, valueStart, slotStart, slotVariables, slotNames, slotIds } = tree;
  const keys: string[] = [];
  const attributes = new Uint32Array(tree.values.length);
  const numbers = new Map<string, number>();
  let named: string | undefined;
  let [number, suffix] = [0, ''];
  yield* tree.paths.escaped(turns, (id, path) => {
    for (let row = valueStart[id]!; row < valueStart[id + 1]!; row++) {
      const { attribute } = tree.values[row]!;
      if (attribute !== named) {
        number = numbers.get(attribute) ?? numbers.size;
        numbers.set(attribute, number);
        [named, suffix] = [attribute, attributeKey('', attribute)];
      }
      attributes[row] = number;
      keys.push(inOnePiece(path + suffix));
    }
  });
  const attributeNames = [...numbers.keys()];
  const serialized = yield* serializedGraph(tree, { keys, attributes, attributeNames }, HEAD_BYTES, turns);
  const graph = yield* storedInPlace(serialized, turns);
  keys.push(OBJECT_GRAPH_KEY);
  const columns = { edgeStart, edgeTargets, edgeNames, valueStart, slotStart, slotVariables, slotNames, slotIds };
  return { ...columns, attributes, attributeNames, keys, graph };
}

/**
 * The same text. V8 puts parts together when it first looks into the whole, and keeps them until then: three objects for
 * each of a million keys, which its collector would have to move.
 */
function inOnePiece(text: string): string {
  text.includes('\0');
  return text;
}

function* isSame(tree: ObjectTree, last: Structure, turns: Turns): Steps<boolean> {
  const { attributes, attributeNames } = last;
  if (tree.values.length !== attributes.length) return false;
  for (const column of COLUMNS) if (tree[column].length !== last[column].length) return false;
  let same = true;
  yield* inTurns(turns, attributes.length, (first, end) => {
    for (let row = first; same && row < end; row++) {
      same = tree.values[row]!.attribute === attributeNames[attributes[row]!];
    }
  });
  for (const column of COLUMNS) {
    const [now, before] = [tree[column], last[column]];
    if (now instanceof Int32Array && before instanceof Int32Array) {
      if (Buffer.compare(bytesOf(now), bytesOf(before)) !== 0) return false;
      continue;
    }
    yield* inTurns(turns, before.length, (first, end) => {
      for (let row = first; same && row < end; row++) same = now[row] === before[row];
    });
  }
  return same;
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
