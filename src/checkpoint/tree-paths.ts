import { NumberColumn } from '../bundle/number-column.ts';
import { inTurns, type Steps, type Turns } from '../steps.ts';
import { childPath, slotPath } from './keys.ts';

/** A slot variable's place: it has no parent, but an optimizer and the variable that it belongs to. */
interface SlotPlace {
  readonly optimizer: number;
  readonly variable: number;
  readonly name: string;
}

/** How each node of a tree was first reached, and what it is called therefore. Node 0 is the root. */
export class TreePaths {
  readonly #parent = NumberColumn.int32();
  readonly #name: string[] = [''];
  readonly #slots = new Map<number, SlotPlace>();

  constructor() {
    this.#parent.push(-1);
  }

  /** The next node, reached from `parent`. */
  addChild(parent: number, name: string): void {
    this.#parent.push(parent);
    this.#name.push(name);
  }

  /** The next node, a slot variable. */
  addSlot(place: SlotPlace): void {
    this.#slots.set(this.#parent.length, place);
    this.#parent.push(-1);
    this.#name.push('');
  }

  /** Escaped path of each node, the first part of its keys. */
  *escaped(turns: Turns): Steps<string[]> {
    const paths = new Array<string>(this.#parent.length);
    paths[0] = '';
    const compose = (first: number, end: number): void => {
      for (let id = Math.max(1, first); id < end; id++) {
        const parent = this.#parent.at(id);
        if (parent >= 0) {
          paths[id] = childPath(paths[parent]!, this.#name[id]!);
          continue;
        }
        const { optimizer, variable, name } = this.#slots.get(id)!;
        paths[id] = slotPath(paths[variable]!, paths[optimizer]!, name);
      }
    };
    yield* inTurns(turns, paths.length, compose);
    return paths;
  }

  /** Local names from the root, joined by slashes and not escaped: what name-based checkpoints call a variable. */
  globalNames(): string[] {
    const names = [''];
    for (let id = 1; id < this.#parent.length; id++) {
      const above = this.#parent.at(id);
      names.push(above <= 0 ? this.#name[id]! : `${names[above]}/${this.#name[id]}`);
    }
    return names;
  }

  /** For messages: `checkpoint["layers"]["0"]`. */
  describe(id: number): string {
    const names: string[] = [];
    for (let at = id; at > 0; at = this.#parent.at(at)) names.push(`[${JSON.stringify(this.#name[at])}]`);
    return `checkpoint${names.reverse().join('')}`;
  }
}
