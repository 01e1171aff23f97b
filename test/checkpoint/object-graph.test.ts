import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Counter } from '../../src/checkpoint/counter.ts';
import { RootObjects } from '../../src/checkpoint/root.ts';
import { structureOf } from '../../src/checkpoint/structure.ts';
import type { Adapter, TrackableNode } from '../../src/checkpoint/trackable.ts';
import { createResolver } from '../../src/checkpoint/trackables.ts';
import { walkNow } from '../../src/checkpoint/tree.ts';
import { ONE_TURN, resultOf } from '../../src/steps.ts';
import { encodeGraph } from '../support/graph-writer.ts';
import { decodeGraph, type GraphNode, globalNamesOf, graphOf, graphOfObjects, nodesOf } from '../support/graphs.ts';
import { floats } from '../support/objects.ts';

const fixture = (name: string) =>
  new Uint8Array(readFileSync(new URL(`../fixtures/object-graph/${name}/graph.pb`, import.meta.url)));

function nodesOfTree(objects: Record<string, unknown>, options: { counter?: boolean; adapters?: Adapter[] } = {}) {
  const root = new RootObjects({}, objects, new Counter());
  const tree = walkNow(
    root.node(() => options.counter ?? false),
    createResolver(options.adapters ?? []),
  );
  return nodesOf(graphOfObjects(tree));
}

/** A graph that TensorFlow wrote. */
function nodesOfFixture(name: string): GraphNode[] {
  return nodesOf(decodeGraph(fixture(name)));
}

const neverCaptured = (): never => {
  throw new Error('nothing is saved here');
};

describe('the codec', () => {
  it.each(['nested', 'cycle', 'slots', 'keras'])('reads and writes TensorFlow’s bytes of %s unchanged', (name) => {
    const bytes = fixture(name);
    const names = globalNamesOf(bytes);
    expect(names.some((text) => text !== '')).toBe(true);
    expect(Buffer.from(encodeGraph(decodeGraph(bytes), (row) => names[row]!)).equals(bytes)).toBe(true);
  });

  it('reads a node in many pieces, and empty ones behind it', () => {
    const leaf = { children: [], attributes: [], slots: [] };
    const ids = Array.from({ length: 3000 }, (_, i) => i + 1);
    const root = { ...leaf, children: ids.map((nodeId) => ({ nodeId, localName: `child_${nodeId}` })) };
    const bytes = encodeGraph(graphOf([root, ...ids.map(() => leaf)]));
    const graph = decodeGraph(bytes);
    expect(graph.nodeCount).toBe(3001);
    expect(Array.from(graph.childStart).slice(0, 3)).toEqual([0, 3000, 3000]);
    expect(graph.childNames.at(2999)).toBe('child_3000');
    expect(Buffer.from(encodeGraph(graph)).equals(bytes)).toBe(true);
    expect(() => decodeGraph(bytes.subarray(0, 20_000))).toThrow(/damaged/);
  });

  it('finds every truncation that cuts a node', () => {
    const bytes = fixture('nested');
    const whole = decodeGraph(bytes).nodeCount;
    for (let length = 0; length < bytes.length; length++) {
      let nodes = -1;
      try {
        nodes = decodeGraph(bytes.subarray(0, length)).nodeCount;
      } catch (error) {
        expect(error).toMatchObject({ code: 'DATA_LOSS' });
      }
      expect(nodes).toBeLessThan(whole);
    }
  });

  it('refuses an edge to a node that does not exist', () => {
    const leaf = { children: [], attributes: [], slots: [] };
    const child = { ...leaf, children: [{ nodeId: 2, localName: 'x' }] };
    expect(() => decodeGraph(encodeGraph(graphOf([child, leaf])))).toThrow(/node 2, and there are 2/);
    const slot = { ...leaf, slots: [{ variable: 1, name: 'm', slot: 7 }] };
    expect(() => decodeGraph(encodeGraph(graphOf([slot, leaf])))).toThrow(/node 7/);
    expect(() => decodeGraph(new Uint8Array())).toThrow(/no root/);
  });

  it('refuses a name that is not UTF-8', () => {
    const bytes = encodeGraph(graphOf([{ children: [{ nodeId: 0, localName: 'abcd' }], attributes: [], slots: [] }]));
    // A character of four bytes without its last: replacement would keep the length.
    bytes.set([0x41, 0xf0, 0x9f, 0x98], bytes.length - 4);
    expect(() => decodeGraph(bytes)).toThrow(/UTF-8/);
  });
});

describe('the graph of a tree is TensorFlow’s for the same objects', () => {
  it('nested containers, a shared variable, host state, names to escape, the save counter', () => {
    const shared = floats(1, 2, 3);
    const state = { serialize: () => 'x', deserialize: () => {} };
    const graph = nodesOfTree(
      {
        weights: { kernel: floats(1), bias: shared },
        step: new Counter(7),
        state,
        pair: { checkpointChildren: () => ({ second: floats(4, 5), first: floats(6) }) },
        layers: [shared, { gamma: floats(0.5) }, []],
        'dotted.name/with slash': floats(1),
      },
      { counter: true },
    );
    expect(graph).toEqual(nodesOfFixture('nested'));
  });

  it('values of any attribute, also of one without a name', () => {
    const value = (attribute: string) => ({ attribute, dtype: 'float32' as const, shape: [], capture: neverCaptured });
    const owner = { isOwner: true };
    const identity = owner;
    const values = () => [value(''), value('b/c'), value(''), value('VARIABLE_VALUE')];
    const adapt = (given: object) => (given === owner ? { identity, description: 'owner', values } : undefined);
    const [, node] = nodesOfTree({ owner }, { adapters: [{ adapt } as Adapter] });
    expect(node!.attributes.map(({ name, checkpointKey }) => [name, checkpointKey])).toEqual([
      ['', 'owner/.ATTRIBUTES/'],
      ['b.Sc', 'owner/.ATTRIBUTES/b..Sc'],
      ['', 'owner/.ATTRIBUTES/'],
      ['VARIABLE_VALUE', 'owner/.ATTRIBUTES/VARIABLE_VALUE'],
    ]);
  });

  it('never an attribute that can not be stored', () => {
    const value = (attribute: string) => ({ attribute, dtype: 'float32' as const, shape: [], capture: neverCaptured });
    const owner = { isOwner: true };
    const withValues = (...attributes: string[]) => {
      const values = () => attributes.map(value);
      const node = { identity: owner, description: 'owner', values };
      const adapt = (given: object) => (given === owner ? node : undefined);
      return () => nodesOfTree({ owner }, { adapters: [{ adapt } as unknown as Adapter] });
    };
    expect(withValues('a\ud800')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(withValues(7 as unknown as string)).toThrow(/must be well-formed Unicode, given/);
  });

  it('objects that refer to each other', () => {
    const a = { checkpointChildren: (): Record<string, unknown> => ({ b }) };
    const b = { checkpointChildren: (): Record<string, unknown> => ({ a, value: floats(2.5) }) };
    expect(nodesOfTree({ a, b })).toEqual(nodesOfFixture('cycle'));
  });

  it('slot variables, optimizer by optimizer, slot name by slot name, in the order of their variables', () => {
    const u = floats(1, 2);
    const v = floats(3);
    const optimizer = { kind: 'optimizer' };
    const of = new Map([u, v].map((variable) => [variable, { m: floats(0), v: floats(0) }]));
    const power = floats(0);
    const power2 = floats(0);
    const node: TrackableNode = {
      identity: optimizer,
      description: 'Adam',
      children: () => [
        ['beta1_power', power],
        ['beta2_power', power2],
      ],
      *slots() {
        for (const name of ['m', 'v'] as const) {
          for (const variable of [u, v]) yield { variable, name, slot: of.get(variable)![name] };
        }
      },
    };
    const adapter: Adapter = { name: 'test', adapt: (value) => (value === optimizer ? node : undefined) };
    const objects = { vars: { v, u }, optimizer };
    expect(nodesOfTree(objects, { adapters: [adapter] })).toEqual(nodesOfFixture('slots'));

    // Messages name a slot by what its key begins with, which native composes.
    const tree = walkNow(
      new RootObjects({}, objects, new Counter()).node(() => false),
      createResolver([adapter]),
    );
    const { keys } = resultOf(structureOf(tree, undefined, ONE_TURN));
    const paths = Array.from(tree.values, (_, row) => tree.paths.escaped(tree.valueStart.indexOf(row + 1) - 1));
    expect(paths).toContain('vars/u/.OPTIMIZER_SLOT/optimizer/m');
    expect(paths.map((path) => `${path}/.ATTRIBUTES/VARIABLE_VALUE`)).toEqual(paths.map((_, row) => keys.at(row)));
    expect(tree.paths.describe(tree.slotIds[0]!)).toBe(
      `checkpoint["optimizer"] (the slot 'm' of checkpoint["vars"]["v"])`,
    );
  });
});

describe('an object tree', () => {
  it('names the path of a value that it can not hold', () => {
    const cases: [unknown, RegExp][] = [
      [{ model: { layers: [floats(1), 3] } }, /checkpoint\["model"\]\["layers"\]\["1"\] is number/],
      [{ x: null }, /checkpoint\["x"\] is null/],
      [{ x: undefined }, /checkpoint\["x"\] is undefined/],
      [{ x: new Map() }, /an instance of Map/],
      [{ x: () => 1 }, /is function/],
      [{ x: Object.assign([], { 1: floats(1) }) }, /checkpoint\["x"\]\["0"\] is undefined/],
      [{ x: { dtype: 'float32', shape: [2], data: new Float32Array(3) } }, /checkpoint\["x"\].*8 bytes, given 12/],
    ];
    for (const [objects, message] of cases) {
      expect(() => nodesOfTree(objects as Record<string, unknown>), String(message)).toThrow(message);
    }
  });

  it('refuses names that can not be stored', () => {
    expect(() => nodesOfTree({ '': floats(1) })).toThrow(/non-empty string/);
    expect(() => nodesOfTree({ 'a\0b': floats(1) })).toThrow(/without NUL/);
    expect(() => nodesOfTree({ '\ud800': floats(1) })).toThrow(/well-formed/);
    expect(() => nodesOfTree({ save_counter: new Counter() })).toThrow(/save counter of its own/);
    const twice: Adapter = {
      name: 'twice',
      adapt: (value) =>
        value instanceof Date
          ? {
              identity: value,
              description: 'twice',
              children: () => [
                ['a', floats(1)],
                ['a', floats(2)],
              ],
            }
          : undefined,
    };
    expect(() => nodesOfTree({ x: new Date() }, { adapters: [twice] })).toThrow(/two of its children 'a'/);
  });

  it('sorts the root’s names by code point, as Python does, and keeps the order of nested ones', () => {
    const names = nodesOfTree({ '\u{10000}': floats(1), '\uffff': { z: floats(1), a: floats(2) }, b: floats(3) });
    expect(names[0]!.children.map(({ localName }) => localName)).toEqual(['b', '\uffff', '\u{10000}']);
    expect(names[2]!.children.map(({ localName }) => localName)).toEqual(['z', 'a']);
  });

  it('refuses a slot that is also reached by a path', () => {
    const u = floats(1);
    const node = (identity: object): TrackableNode => ({
      identity,
      description: 'optimizer',
      slots: () => [{ variable: u, name: 'm', slot: u }],
    });
    const adapter: Adapter = { name: 't', adapt: (value) => (value instanceof Date ? node(value) : undefined) };
    expect(() => nodesOfTree({ u, o: new Date() }, { adapters: [adapter] })).toThrow(/also reached by another path/);
  });

  it('walks a hundred thousand tensors in about linear time', () => {
    const tensor = (i: number) => ({ dtype: 'float32', shape: [1], data: new Float32Array([i]) });
    const objects = { weights: Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`w${i}`, tensor(i)])) };
    const graph = nodesOfTree(objects);
    expect(graph).toHaveLength(100_002);
    expect(decodeGraph(encodeGraph(graphOf(graph))).nodeCount).toBe(100_002);
  });
});
