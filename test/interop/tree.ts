import { Checkpoint } from '../../src/checkpoint/checkpoint.ts';
import { type DType, elementSize } from '../../src/tensor/dtypes.ts';
import { HostTensor } from '../../src/tensor/host-tensor.ts';

/**
 * A description of an object tree that both languages can build: tf_trees.py makes tf.Variables, lists, dicts, Modules
 * and PythonStates of it, {@link build} HostTensors, arrays, objects and serializable state. Bytes are base64, of
 * strings one text each.
 */
export type Tree =
  | { kind: 'tensor'; dtype: DType; shape: readonly number[]; bytes?: string; strings?: readonly string[] }
  | { kind: 'state'; text: string }
  | { kind: 'list'; items: readonly Tree[] }
  | { kind: 'dict' | 'module'; children: Readonly<Record<string, Tree>> }
  /** The object at another path from the root, such as `a/0`: shared, not copied. */
  | { kind: 'same'; path: string };

export type Root = Tree & { kind: 'dict' };

/** Host state with a text, as PythonState. */
export class TextState {
  text: string;
  constructor(text: string) {
    this.text = text;
  }
  serialize(): string {
    return this.text;
  }
  deserialize(text: string): void {
    this.text = text;
  }
}

/** Our objects for the tree; `blank` ones have its structure and none of its values. */
export function build(root: Root, blank: boolean): Record<string, unknown> {
  const made = new Map<string, unknown>();
  const make = (tree: Tree, path: string): unknown => {
    const object = makeOne(tree, path);
    made.set(path, object);
    return object;
  };
  const makeOne = (tree: Tree, path: string): unknown => {
    const below = (name: string | number) => (path === '' ? `${name}` : `${path}/${name}`);
    switch (tree.kind) {
      case 'tensor':
        return makeTensor(tree, blank);
      case 'state':
        return new TextState(blank ? '' : tree.text);
      case 'list':
        return tree.items.map((item, i) => make(item, below(i)));
      case 'same':
        return made.get(tree.path);
      default:
        return Object.fromEntries(
          Object.entries(tree.children).map(([name, child]) => [name, make(child, below(name))]),
        );
    }
  };
  return make(root, '') as Record<string, unknown>;
}

function makeTensor(tree: Tree & { kind: 'tensor' }, blank: boolean): HostTensor {
  const { dtype, shape } = tree;
  if (dtype === 'string') {
    const data = tree.strings!.map((text) => new Uint8Array(Buffer.from(blank ? '' : text, 'base64')));
    return new HostTensor({ dtype, shape, data });
  }
  const tensor = HostTensor.allocate({ dtype, shape });
  if (!blank) tensor.bytes.set(Buffer.from(tree.bytes!, 'base64'));
  return tensor;
}

/** The values in our objects, by path, in the form in which the tree has them. */
export function values(root: Root, objects: Record<string, unknown>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  const visit = (tree: Tree, object: unknown, path: string): void => {
    const below = (name: string | number) => (path === '' ? `${name}` : `${path}/${name}`);
    if (tree.kind === 'tensor') {
      const tensor = object as HostTensor;
      result[path] =
        tensor.dtype === 'string'
          ? (tensor.data as Uint8Array[]).map((text) => Buffer.from(text).toString('base64'))
          : Buffer.from(tensor.bytes).toString('base64');
    } else if (tree.kind === 'state') result[path] = (object as TextState).text;
    else if (tree.kind === 'list') {
      for (const [i, item] of tree.items.entries()) visit(item, (object as unknown[])[i], below(i));
    } else if (tree.kind !== 'same') {
      for (const [name, child] of Object.entries(tree.children)) {
        visit(child, (object as Record<string, unknown>)[name], below(name));
      }
    }
  };
  visit(root, objects, '');
  return result;
}

/** The values as the tree says they are. */
export function valuesOf(root: Root): Record<string, unknown> {
  return values(root, build(root, false));
}

export function checkpointOf(root: Root, blank: boolean): { checkpoint: Checkpoint; objects: Record<string, unknown> } {
  const objects = build(root, blank);
  return { checkpoint: new Checkpoint(objects), objects };
}

/** Bytes for a tensor that are a valid value of every dtype (a bool is 0 or 1, a float no NaN, which has many forms). */
export function tensor(dtype: DType, shape: readonly number[], fill: () => number): Tree {
  const count = shape.reduce((product, dimension) => product * dimension, 1);
  if (dtype === 'string') {
    const strings = Array.from({ length: count }, () => {
      const length = [0, 1, 5, 130, 300][Math.floor(fill() * 5)]!;
      return Buffer.from(Array.from({ length }, () => Math.floor(fill() * 256))).toString('base64');
    });
    return { kind: 'tensor', dtype, shape, strings };
  }
  const size = elementSize(dtype);
  const most = dtype === 'bool' ? 2 : 256;
  const bytes = Buffer.from(Array.from({ length: count * size }, () => Math.floor(fill() * most)));
  if (/float|complex/.test(dtype)) clearExponents(bytes, dtype);
  return { kind: 'tensor', dtype, shape, bytes: bytes.toString('base64') };
}

/** Clears the top bit of each exponent, so that no value is NaN or infinite. */
function clearExponents(bytes: Buffer, dtype: DType): void {
  const widths: Partial<Record<DType, number>> = { float64: 8, complex128: 8, float32: 4, complex64: 4 };
  const width = widths[dtype] ?? elementSize(dtype);
  for (let last = width - 1; last < bytes.length; last += width) bytes[last]! &= 0b1011_1111;
}
