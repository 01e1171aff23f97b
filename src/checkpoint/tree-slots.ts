import type { NumberColumn } from '../bundle/number-column.ts';
import type { ObjectColumn } from '../bundle/object-column.ts';
import { invalidArgument } from '../errors.ts';
import type { ObjectNumbers } from './object-numbers.ts';
import type { TrackableNode } from './trackable.ts';
import { checkName, type Resolve } from './tree.ts';
import type { TreePaths } from './tree-paths.ts';

/** A tree to which slot variables are being added. */
interface GrowingTree {
  readonly nodes: ObjectColumn<TrackableNode>;
  readonly slotVariables: NumberColumn<Int32Array>;
  readonly slotNames: string[];
  readonly slotIds: NumberColumn<Int32Array>;
  readonly idOf: ObjectNumbers;
  readonly paths: TreePaths;
}

interface FoundSlot {
  readonly variable: number;
  readonly name: string;
  readonly slot: TrackableNode;
}

/**
 * Adds the slot variables of node `optimizer`, in TensorFlow's order: by slot name as first seen, then by the variable's
 * number. Nodes from `owners` on are slots themselves.
 */
export function addSlots(tree: GrowingTree, optimizer: number, owners: number, resolve: Resolve): void {
  const where = () => tree.paths.describe(optimizer);
  for (const { variable, name, slot } of collectSlots(tree, optimizer, owners, resolve, where)) {
    if (tree.idOf.has(slot.identity)) {
      throw invalidArgument(
        `${where()}: the slot '${name}' of ${tree.paths.describe(variable)} is also reached by another path; ` +
          'a slot variable must belong to its optimizer alone.',
      );
    }
    const id = tree.nodes.length;
    tree.nodes.push(slot);
    tree.idOf.set(slot.identity, id);
    tree.paths.addSlot(optimizer, tree.slotIds.length);
    tree.slotVariables.push(variable);
    tree.slotNames.push(name);
    tree.slotIds.push(id);
  }
}

function collectSlots(
  { nodes, idOf }: GrowingTree,
  optimizer: number,
  owners: number,
  resolve: Resolve,
  where: () => string,
): FoundSlot[] {
  const byName = new Map<string, FoundSlot[]>();
  for (const { variable, name, slot } of nodes.at(optimizer).slots!()) {
    checkName(name, where);
    const variableNode = resolve(variable, () => `${where()} (the variable of slot '${name}')`);
    const id = idOf.get(variableNode.identity);
    // As in TensorFlow, a slot is saved only with its variable: one that isn't in the tree has no path to name it by.
    if (id === undefined || id >= owners) continue;
    const slotNode = resolve(slot, () => `${where()} (the slot '${name}')`);
    if (slotNode.children !== undefined || slotNode.list !== undefined) {
      throw invalidArgument(`${where()}: the slot '${name}' has children of its own; a slot variable must have none.`);
    }
    const list = byName.get(name);
    if (list === undefined) byName.set(name, [{ variable: id, name, slot: slotNode }]);
    else list.push({ variable: id, name, slot: slotNode });
  }
  const found: FoundSlot[] = [];
  for (const list of byName.values()) {
    list.sort((a, b) => a.variable - b.variable);
    list.forEach((slot, i) => {
      if (i > 0 && list[i - 1]!.variable === slot.variable) {
        throw invalidArgument(`${where()} has two slots '${slot.name}' for one variable.`);
      }
      found.push(slot);
    });
  }
  return found;
}
