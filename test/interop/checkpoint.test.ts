import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { smallShapes, variableDTypes } from '../support/every-tensor.ts';
import { describeWithOracle, runOracle } from '../support/oracle.ts';
import { randomNumbers } from '../support/random.ts';
import { checkpointOf, type Root, type Tree, tensor, values, valuesOf } from './tree.ts';

const dtypes = [...variableDTypes, 'string'] as const;

const random = randomNumbers(20);
const list = (...items: Tree[]): Tree => ({ kind: 'list', items });
const dict = (children: Record<string, Tree>): Root => ({ kind: 'dict', children });
const module = (children: Record<string, Tree>): Tree => ({ kind: 'module', children });
const floats = (...shape: number[]) => tensor('float32', shape, random);

/** Some tree of containers up to three deep, of the same seed the same. */
function randomTree(seed: number): Root {
  const next = randomNumbers(seed);
  const below = (n: number) => Math.floor(next() * n);
  const branch = (depth: number): Tree => {
    const kind = depth === 0 ? 0 : below(5);
    if (kind < 2) return tensor(dtypes[below(dtypes.length)]!, smallShapes[below(smallShapes.length)]!, next);
    const items = Array.from({ length: below(4) }, () => branch(depth - 1));
    if (kind === 2) return list(...items);
    return {
      kind: kind === 3 ? 'dict' : 'module',
      children: Object.fromEntries(items.map((item, i) => [`x${i}`, item])),
    };
  };
  return dict({ step: tensor('int64', [], next), ...Object.fromEntries([0, 1, 2].map((i) => [`top${i}`, branch(3)])) });
}

const trees: Record<string, Root> = {
  ...Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`random tree ${i + 1}`, randomTree(i + 1)])),
  'one scalar': dict({ step: tensor('int64', [], random) }),
  'every dtype in every shape': dict(
    Object.fromEntries(
      dtypes.map((dtype) => [dtype, list(...smallShapes.map((shape) => tensor(dtype, shape, random)))]),
    ),
  ),
  'a model of lists in modules in dicts': dict({
    step: tensor('int64', [], random),
    model: module({
      layers: list(
        module({ kernel: floats(4, 3), bias: floats(3) }),
        module({ kernel: floats(3, 2), bias: floats(2), parts: list(list(floats(1)), list()) }),
      ),
      options: dict({ rate: tensor('float64', [], random), nested: dict({ deep: list(floats(2), floats(2)) }) }),
    }),
  }),
  'host state': dict({
    epoch: { kind: 'state', text: '{"epoch": 7, "cursor": "é😀\\u0000\\"quoted\\""}' },
    empty: { kind: 'state', text: '' },
    inside: list({ kind: 'state', text: 'x'.repeat(10_000) }, floats(3)),
  }),
  'one object at several places': dict({
    a: module({ w: floats(5) }),
    b: list({ kind: 'same', path: 'a/w' }, { kind: 'same', path: 'a' }, floats(1)),
    c: { kind: 'same', path: 'a' },
  }),
  'names that have to be escaped': dict({
    'with/slash': floats(1),
    'with.dot': floats(2),
    '.S': floats(3),
    'über 😀': dict({ ' ': floats(5), '0': floats(6), 'a//b': floats(7) }),
  }),
  'empty containers': dict({ nothing: list(), none: dict({}), module: module({}), x: floats(1) }),
  'many tensors': dict({
    all: list(...Array.from({ length: 800 }, (_, i) => floats((i % 5) + 1))),
  }),
};

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'interop-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Task {
  action: 'save' | 'restore';
  prefix: string;
  tree: Root;
  assertion?: 'assert_consumed' | 'assert_existing_objects_matched';
}

async function tensorFlow(tasks: readonly Task[]): Promise<unknown[]> {
  const script = fileURLToPath(new URL('tf_trees.py', import.meta.url));
  return JSON.parse(await runOracle(script, { input: JSON.stringify(tasks) })) as unknown[];
}

describeWithOracle('what TensorFlow saved is restored here', () => {
  const saved = new Map<string, string>();
  beforeAll(async () => {
    const tasks = Object.entries(trees).map(([name, tree], i): Task => {
      return { action: 'save', prefix: path.join(directory, `theirs-${i}`, name.replaceAll(' ', '-')), tree };
    });
    const paths = await tensorFlow(tasks);
    for (const [i, name] of Object.keys(trees).entries()) saved.set(name, paths[i] as string);
  });

  for (const [name, tree] of Object.entries(trees)) {
    test(name, async () => {
      const { checkpoint, objects } = checkpointOf(tree, true);
      const status = await checkpoint.restore(saved.get(name)!);
      status.assertConsumed();
      expect(values(tree, objects)).toEqual(valuesOf(tree));
      expect(checkpoint.saveCounter.value).toBe(1);
    });
  }
});

describeWithOracle('what is saved here is restored by TensorFlow', () => {
  const found = new Map<string, unknown>();
  beforeAll(async () => {
    const tasks: Task[] = [];
    for (const [i, tree] of Object.values(trees).entries()) {
      const { checkpoint } = checkpointOf(tree, false);
      // In one file and in as many as there can be up to three.
      const prefix = path.join(directory, `ours-${i}`, 'ckpt');
      tasks.push({ action: 'restore', prefix: await checkpoint.save(prefix), tree });
      tasks.push({
        action: 'restore',
        prefix: await checkpoint.save(prefix, { shards: 3 }),
        tree,
        assertion: 'assert_existing_objects_matched',
      });
    }
    const results = await tensorFlow(tasks);
    for (const [i, name] of Object.keys(trees).entries()) {
      found.set(name, results[2 * i]);
      found.set(`${name}, in shards`, results[2 * i + 1]);
    }
  });

  for (const [name, tree] of Object.entries(trees)) {
    test(name, () => expect(found.get(name)).toEqual(valuesOf(tree)));
    test(`${name}, in shards`, () => expect(found.get(`${name}, in shards`)).toEqual(valuesOf(tree)));
  }
});
