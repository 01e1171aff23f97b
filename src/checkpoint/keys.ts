/**
 * How values of an object tree are named in a checkpoint. Keys are for people and for name-based tools: restoring goes
 * by the local names in the object graph. Source: TensorFlow's trackable_utils and facts of the tensor bundle.
 * Native composes the keys of a save by the same rules (native/format/object_keys.cc; test/native/encode-texts.test.ts compares).
 */

/** The scalar string entry that holds the serialized object graph. */
export const OBJECT_GRAPH_KEY = '_CHECKPOINTABLE_OBJECT_GRAPH';

/** Attribute name of a variable's tensor. */
export const VARIABLE_VALUE = 'VARIABLE_VALUE';

/** Attribute name of serialized host state (TensorFlow's PythonState). */
export const PYTHON_STATE = 'py_state';

/** Local name of the edge from a Checkpoint to its save counter. */
export const SAVE_COUNTER = 'save_counter';

/** A local name as one part of a key: `.` → `..`, `/` → `.S`. Injective, and never collides with `.ATTRIBUTES`. */
function escapeName(name: string): string {
  if (!name.includes('.') && !name.includes('/')) return name;
  return name.replaceAll('.', '..').replaceAll('/', '.S');
}

/** The path of the child that is reached from `parent` over the edge `name`; the root's path is `''`. */
export function childPath(parent: string, name: string): string {
  const part = escapeName(name);
  return parent === '' ? part : `${parent}/${part}`;
}

/** The attribute's name in the object graph. */
export function attributeName(attribute: string): string {
  return escapeName(attribute);
}

/** The key of an object's own value. The attribute is escaped twice, as TensorFlow does it. */
export function attributeKey(path: string, attribute: string): string {
  return `${path}/.ATTRIBUTES/${escapeName(escapeName(attribute))}`;
}

/** The path of an optimizer's slot for a variable. */
export function slotPath(variablePath: string, optimizerPath: string, slotName: string): string {
  return `${variablePath}/.OPTIMIZER_SLOT/${optimizerPath}/${escapeName(slotName)}`;
}
