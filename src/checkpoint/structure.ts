import { KeyColumn } from '../bundle/key-column.ts';
import type { StoredStrings } from '../bundle/strings.ts';
import { describeValue, invalidArgument } from '../errors.ts';
import { freeColumns, uint32Column } from '../native/columns.ts';
import { encodeGraph, encodeKeys, encodeTexts } from '../native/encode.ts';
import { inTurns, type Steps, type Turns } from '../steps.ts';
import { attributeKey, attributeName, OBJECT_GRAPH_KEY } from './keys.ts';
import type { ObjectTree } from './tree.ts';

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
  readonly keys: KeyColumn;
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
  const { attributes, attributeNames } = yield* attributesOf(tree, turns);
  const texts = { edgeNames: yield* encodeTexts(edgeNames, turns), slotNames: yield* encodeTexts(slotNames, turns) };
  const suffixes = attributeNames.map((attribute) => attributeKey('', attribute));
  const keys = new KeyColumn(
    yield* encodeKeys(
      {
        above: tree.paths.above,
        name: tree.paths.name,
        ...texts,
        slotVariables,
        valueStart,
        attributes,
        suffixes: yield* encodeTexts(suffixes, turns),
        others: yield* encodeTexts([OBJECT_GRAPH_KEY], turns),
      },
      turns,
    ),
  );
  // As TensorFlow writes it for the same objects, but for `full_name`, which it has no use for.
  const encoded = yield* encodeGraph(
    {
      childStart: edgeStart,
      childIds: edgeTargets,
      childNames: texts.edgeNames,
      valueStart,
      attributes,
      attributeNames: yield* encodeTexts(attributeNames.map(attributeName), turns),
      keys,
      slotStart,
      slotVariables,
      slotNames: texts.slotNames,
      slotIds,
    },
    turns,
  );
  const graph: StoredStrings = { kind: 'stored', count: 1, ...encoded };
  const columns = { edgeStart, edgeTargets, edgeNames, valueStart, slotStart, slotVariables, slotNames, slotIds };
  return { ...columns, attributes, attributeNames, keys, graph };
}

/** Frees the columns of a tree that is captured, but for those that its structure has. */
export function freeTree(tree: ObjectTree, structure: Structure): void {
  freeColumns(tree.paths.above, tree.paths.name);
  for (const name of COLUMNS) {
    const column = tree[name];
    if (ArrayBuffer.isView(column) && column !== structure[name]) freeColumns(column);
  }
}

function* attributesOf(tree: ObjectTree, turns: Turns): Steps<Pick<Structure, 'attributes' | 'attributeNames'>> {
  const attributes = uint32Column(tree.values.length);
  const numbers = new Map<string, number>();
  yield* inTurns(turns, attributes.length, (first, end) => {
    for (let row = first; row < end; row++) {
      const { attribute } = tree.values.at(row);
      const number = numbers.get(attribute) ?? numbers.size;
      if (number === numbers.size) numbers.set(checkedAttribute(attribute), number);
      attributes[row] = number;
    }
  });
  return { attributes, attributeNames: [...numbers.keys()] };
}

/** Names were checked in the walk; those of attributes are few, and come from adapters. */
function checkedAttribute(attribute: string): string {
  if (typeof attribute === 'string' && attribute.isWellFormed()) return attribute;
  throw invalidArgument(`An attribute must be well-formed Unicode, given ${describeValue(attribute)}.`);
}

function* isSame(tree: ObjectTree, last: Structure, turns: Turns): Steps<boolean> {
  const { attributes, attributeNames } = last;
  if (tree.values.length !== attributes.length) return false;
  for (const column of COLUMNS) if (tree[column].length !== last[column].length) return false;
  let same = true;
  yield* inTurns(turns, attributes.length, (first, end) => {
    for (let row = first; same && row < end; row++) {
      same = tree.values.at(row).attribute === attributeNames[attributes[row]!];
    }
  });
  for (const column of COLUMNS) {
    const [now, before] = [tree[column], last[column]];
    if (now === before) continue;
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
