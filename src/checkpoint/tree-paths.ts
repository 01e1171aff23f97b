import { NumberColumn } from '../bundle/number-column.ts';
import { childPath, slotPath } from './keys.ts';
import type { Repeated } from './repeated.ts';

/** The names by which nodes are reached, also those that are still to come. */
interface Names {
  readonly edgeNames: Repeated<string>;
  readonly slotNames: readonly string[];
  /** By slot: the node of its variable. */
  readonly slotVariables: NumberColumn<Int32Array>;
}

/** How each node of a tree was first reached, and what it is called therefore. Node 0 is the root. */
export class TreePaths {
  readonly #names: Names;
  readonly #above = NumberColumn.int32();
  readonly #name = NumberColumn.int32();

  constructor(names: Names) {
    this.#names = names;
    this.#add(-1, -1);
  }

  /** The next node, reached from `parent` over an edge. */
  addChild(parent: number, edge: number): void {
    this.#add(parent, edge);
  }

  /** The next node, a slot variable of `optimizer`. It has no parent. */
  addSlot(optimizer: number, slot: number): void {
    this.#add(-1 - optimizer, slot);
  }

  #add(above: number, name: number): void {
    this.#above.push(above);
    this.#name.push(name);
  }

  /** By node: the one above it; of a slot variable −1 − its optimizer. Of no meaning for the root. */
  get above(): Int32Array {
    return this.#above.view();
  }

  /** By node: the edge that led there, or the slot that it is. Of no meaning for the root. */
  get name(): Int32Array {
    return this.#name.view();
  }

  #isSlot(id: number): boolean {
    return id > 0 && this.#above.at(id) < 0;
  }

  #slotOf(id: number): { optimizer: number; variable: number; name: string } {
    const slot = this.#name.at(id);
    const { slotNames, slotVariables } = this.#names;
    return { optimizer: -1 - this.#above.at(id), variable: slotVariables.at(slot), name: slotNames[slot]! };
  }

  /** The names on the way from the root to a node that is no slot variable. */
  #wayTo(id: number): string[] {
    const names: string[] = [];
    for (let at = id; at > 0; at = this.#above.at(at)) names.push(this.#names.edgeNames.at(this.#name.at(at)));
    return names.reverse();
  }

  /** The escaped path of a node, the first part of its keys. For messages: native composes those of all. */
  escaped(id: number): string {
    if (!this.#isSlot(id)) return this.#wayTo(id).reduce(childPath, '');
    const { optimizer, variable, name } = this.#slotOf(id);
    return slotPath(this.escaped(variable), this.escaped(optimizer), name);
  }

  /** Local names from the root, joined by slashes and not escaped: what name-based checkpoints call a variable. */
  globalNames(): string[] {
    const names = [''];
    for (let id = 1; id < this.#above.length; id++) {
      const above = this.#above.at(id);
      const name = above < 0 ? '' : this.#names.edgeNames.at(this.#name.at(id));
      names.push(above <= 0 ? name : `${names[above]}/${name}`);
    }
    return names;
  }

  /** For messages: `checkpoint["layers"]["0"]`. */
  describe(id: number): string {
    if (!this.#isSlot(id))
      return ['checkpoint', ...this.#wayTo(id).map((name) => `[${JSON.stringify(name)}]`)].join('');
    const { optimizer, variable, name } = this.#slotOf(id);
    return `${this.describe(optimizer)} (the slot '${name}' of ${this.describe(variable)})`;
  }
}
