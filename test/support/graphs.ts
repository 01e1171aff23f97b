import { bytesOfStrings } from '../../src/bundle/strings.ts';
import { WireReader } from '../../src/bundle/wire-reader.ts';
import { decodeObjectGraph } from '../../src/checkpoint/decode-object-graph.ts';
import {
  Holds,
  NodeField,
  numbered,
  type ObjectGraph,
  type RegisteredSaver,
} from '../../src/checkpoint/object-graph.ts';
import { structureOf } from '../../src/checkpoint/structure.ts';
import { textsOf } from '../../src/checkpoint/texts.ts';
import type { ObjectTree } from '../../src/checkpoint/tree.ts';
import { ONE_TURN, resultOf } from '../../src/steps.ts';
import { readStrings } from './read-strings.ts';

/** A node of an object graph as one object, which is easier to compare than columns. */
export interface GraphNode {
  children: { nodeId: number; localName: string }[];
  attributes: { name: string; checkpointKey: string }[];
  slots: { variable: number; name: string; slot: number }[];
  registeredSaver?: RegisteredSaver | undefined;
  hasCheckpointValues?: boolean | undefined;
}

const rows = <T>(start: ArrayLike<number>, id: number, row: (row: number) => T): T[] =>
  Array.from({ length: start[id + 1]! - start[id]! }, (_, i) => row(start[id]! + i));

export function nodesOf(graph: ObjectGraph): GraphNode[] {
  return Array.from({ length: graph.nodeCount }, (_, id) => ({
    children: rows(graph.childStart, id, (row) => ({
      nodeId: graph.childIds[row]!,
      localName: graph.childNames.at(row),
    })),
    attributes: rows(graph.attributeStart, id, (row) => ({
      name: graph.attributeNames[graph.attributes[row]!]!,
      checkpointKey: graph.attributeKeys.at(row),
    })),
    slots: rows(graph.slotStart, id, (row) => ({
      variable: graph.slotVariables[row]!,
      name: graph.slotNames.at(row),
      slot: graph.slotIds[row]!,
    })),
    registeredSaver: graph.savers.get(id),
    hasCheckpointValues: graph.holds[id] === Holds.unknown ? undefined : graph.holds[id] === Holds.values,
  }));
}

export function graphOf(nodes: readonly GraphNode[]): ObjectGraph {
  const starts = (lists: (node: GraphNode) => readonly unknown[]) => {
    const start = [0];
    for (const node of nodes) start.push(start.at(-1)! + lists(node).length);
    return start;
  };
  const children = nodes.flatMap((node) => node.children);
  const attributes = nodes.flatMap((node) => node.attributes);
  const slots = nodes.flatMap((node) => node.slots);
  const holds = ({ hasCheckpointValues }: GraphNode) =>
    hasCheckpointValues === undefined ? Holds.unknown : hasCheckpointValues ? Holds.values : Holds.nothing;
  const { numbers, names } = numbered(attributes.map(({ name }) => name));
  return {
    nodeCount: nodes.length,
    childStart: starts((node) => node.children),
    childIds: children.map(({ nodeId }) => nodeId),
    childNames: textsOf(children.map(({ localName }) => localName)),
    attributeStart: starts((node) => node.attributes),
    attributes: numbers,
    attributeNames: names,
    attributeKeys: textsOf(attributes.map(({ checkpointKey }) => checkpointKey)),
    slotStart: starts((node) => node.slots),
    slotVariables: slots.map(({ variable }) => variable),
    slotNames: textsOf(slots.map(({ name }) => name)),
    slotIds: slots.map(({ slot }) => slot),
    savers: new Map(nodes.flatMap(({ registeredSaver }, id) => (registeredSaver ? [[id, registeredSaver]] : []))),
    holds: Uint8Array.from(nodes, holds),
  };
}

/** The graph that a save of this tree stores. */
export function graphOfObjects(tree: ObjectTree): ObjectGraph {
  const { graph } = resultOf(structureOf(tree, undefined, ONE_TURN));
  return decodeGraph(readStrings(bytesOfStrings(graph), 1, graph.checksum)[0]!);
}

/** The variables' global names in a graph that TensorFlow wrote, by the row of their attribute. */
export function globalNamesOf(bytes: Uint8Array): string[] {
  const names: string[] = [];
  for (const graph = new WireReader(bytes); !graph.done; ) {
    graph.tag();
    for (const node = graph.message(); !node.done; ) {
      const tag = node.tag();
      if (tag !== NodeField.attribute) {
        node.skip(tag);
        continue;
      }
      let name = '';
      for (const attribute = node.message(); !attribute.done; ) {
        if (attribute.tag() === 0x12) name = Buffer.from(attribute.lengthDelimited()).toString();
        else attribute.lengthDelimited();
      }
      names.push(name);
    }
  }
  return names;
}

export function decodeGraph(bytes: Uint8Array): ObjectGraph {
  return resultOf(decodeObjectGraph(bytes, undefined, ONE_TURN));
}
