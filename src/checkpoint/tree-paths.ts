import { NumberColumn } from '../bundle/number-column.ts';
import { inTurns, ONE_TURN, resultOf, type Steps, type Turns } from '../steps.ts';
import { childPath, slotPath } from './keys.ts';

/** A slot variable's place: it has no parent, but an optimizer and the variable that it belongs to. */
interface SlotPlace {
  readonly optimizer: number;
  readonly variable: number;
  readonly name: string;
}

/** How each node of a tree was first reached, and what it is called therefore. Node 0 is the root. */
export class TreePaths {
  readonly #edgeNames: readonly string[];
  /** By node, −1 where it has none: the node above, and the edge that leads from there. */
  readonly #parent = NumberColumn.int32();
  readonly #edge = NumberColumn.int32();
  readonly #slots = new Map<number, SlotPlace>();

  /** @param edgeNames of all edges, also of those that are still to come. */
  constructor(edgeNames: readonly string[]) {
    this.#edgeNames = edgeNames;
    this.#addNode(-1, -1);
  }

  /** The next node, reached from `parent` over an edge. */
  addChild(parent: number, edge: number): void {
    this.#addNode(parent, edge);
  }

  /** The next node, a slot variable. */
  addSlot(place: SlotPlace): void {
    this.#slots.set(this.#parent.length, place);
    this.#addNode(-1, -1);
  }

  #addNode(parent: number, edge: number): void {
    this.#parent.push(parent);
    this.#edge.push(edge);
  }

  #name(id: number): string {
    const edge = this.#edge.at(id);
    return edge < 0 ? '' : this.#edgeNames[edge]!;
  }

  /**
   * Calls `use` with the escaped path of each node, the first part of its keys. Only paths that others begin with are kept
   * meanwhile: most nodes are tensors, and there may be a million.
   */
  *escaped(turns: Turns, use: (id: number, path: string) => void): Steps<void> {
    const kept = new Array<string>(this.#parent.length);
    kept[0] = '';
    const isAbove = yield* this.#above(turns);
    use(0, '');
    const compose = (first: number, end: number): void => {
      for (let id = Math.max(1, first); id < end; id++) {
        const path = this.#path(id, kept);
        if (isAbove[id] === 1) kept[id] = path;
        use(id, path);
      }
    };
    yield* inTurns(turns, this.#parent.length, compose);
  }

  /** {@link escaped} of all nodes at once, for messages. */
  allEscaped(): string[] {
    const paths: string[] = [];
    resultOf(this.escaped(ONE_TURN, (_, path) => paths.push(path)));
    return paths;
  }

  #path(id: number, above: readonly string[]): string {
    const parent = this.#parent.at(id);
    if (parent >= 0) return childPath(above[parent]!, this.#name(id));
    const { optimizer, variable, name } = this.#slots.get(id)!;
    return slotPath(above[variable]!, above[optimizer]!, name);
  }

  /** By node: 1 where the paths of others begin with its own. */
  *#above(turns: Turns): Steps<Uint8Array> {
    const above = new Uint8Array(this.#parent.length);
    const mark = (first: number, end: number): void => {
      for (let id = first; id < end; id++) {
        const parent = this.#parent.at(id);
        if (parent >= 0) above[parent] = 1;
      }
    };
    yield* inTurns(turns, above.length, mark, 1024);
    for (const { optimizer, variable } of this.#slots.values()) above[optimizer] = above[variable] = 1;
    return above;
  }

  /** Local names from the root, joined by slashes and not escaped: what name-based checkpoints call a variable. */
  globalNames(): string[] {
    const names = [''];
    for (let id = 1; id < this.#parent.length; id++) {
      const above = this.#parent.at(id);
      names.push(above <= 0 ? this.#name(id) : `${names[above]}/${this.#name(id)}`);
    }
    return names;
  }

  /** For messages: `checkpoint["layers"]["0"]`. */
  describe(id: number): string {
    const names: string[] = [];
    for (let at = id; at > 0; at = this.#parent.at(at)) names.push(`[${JSON.stringify(this.#name(at))}]`);
    return `checkpoint${names.reverse().join('')}`;
  }
}
