import type { TrackableNode } from './trackable.ts';

/**
 * Named children that can be looked at one by one, and a few at a time: an array or an object may have a million, and the
 * event loop is to turn meanwhile.
 */
export interface ChildList {
  readonly length: number;
  name(index: number): string;
  value(index: number): unknown;
  /** The child of that name, undefined where there is none. */
  find(name: string): { readonly value: unknown } | undefined;
}

/** The items of an array, by their numbers. A hole reads as undefined. */
export class ArrayChildren implements ChildList {
  readonly #items: readonly unknown[];
  readonly length: number;

  constructor(items: readonly unknown[]) {
    this.#items = items;
    this.length = items.length;
  }

  name(index: number): string {
    return String(index);
  }

  value(index: number): unknown {
    return this.#items[index];
  }

  find(name: string): { readonly value: unknown } | undefined {
    const index = Number(name);
    const isItem = Number.isInteger(index) && index >= 0 && index < this.length && String(index) === name;
    return isItem ? { value: this.#items[index] } : undefined;
  }
}

/** The values of an object, by names of its own. */
export class ObjectChildren implements ChildList {
  readonly #object: Readonly<Record<string, unknown>>;
  readonly #list: () => readonly string[];
  #names: readonly string[] | undefined;

  /** @param list the names in their order. Called when they are first needed: whoever only looks for children needs none. */
  constructor(object: Readonly<Record<string, unknown>>, list = (): readonly string[] => Object.keys(object)) {
    this.#object = object;
    this.#list = list;
  }

  #listed(): readonly string[] {
    this.#names ??= this.#list();
    return this.#names;
  }

  get length(): number {
    return this.#listed().length;
  }

  name(index: number): string {
    return (this.#names ?? this.#listed())[index]!;
  }

  value(index: number): unknown {
    return this.#object[this.name(index)];
  }

  find(name: string): { readonly value: unknown } | undefined {
    if (!Object.prototype.propertyIsEnumerable.call(this.#object, name)) return undefined;
    return { value: this.#object[name] };
  }
}

/** Pairs, as an object of the caller's or an adapter gives them. */
export class PairChildren implements ChildList {
  readonly #pairs: readonly (readonly [string, unknown])[];
  #byName: ReadonlyMap<string, unknown> | undefined;

  constructor(pairs: readonly (readonly [string, unknown])[]) {
    this.#pairs = pairs;
  }

  get length(): number {
    return this.#pairs.length;
  }

  name(index: number): string {
    return this.#pairs[index]![0];
  }

  value(index: number): unknown {
    return this.#pairs[index]![1];
  }

  find(name: string): { readonly value: unknown } | undefined {
    this.#byName ??= new Map(this.#pairs);
    return this.#byName.has(name) ? { value: this.#byName.get(name) } : undefined;
  }
}

export const NO_CHILDREN: ChildList = new PairChildren([]);

/** The children of a node as they are now; undefined for one that can't have any. */
export function childList(node: TrackableNode): ChildList | undefined {
  if (node.list !== undefined) return node.list();
  return node.children === undefined ? undefined : new PairChildren([...node.children()]);
}
