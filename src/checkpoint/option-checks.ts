// Checks of options one by one. `what` is the function or option that they were given to, for messages; whatever doesn't
// fit is a CheckpointError INVALID_ARGUMENT.
import { describeValue, invalidArgument } from '../errors.ts';

export function optionsObject(options: unknown, names: ReadonlySet<string>, what: string): object {
  if (options === undefined) return {};
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalidArgument(`${what}: options must be an object, not ${describeValue(options)}.`);
  }
  for (const name of Object.keys(options)) {
    if (names.has(name)) continue;
    const meant = closest(name, names);
    throw invalidArgument(
      `${what}: unknown option '${name}'.${meant === undefined ? '' : ` Did you mean '${meant}'?`} Known: ${[...names].join(', ')}.`,
    );
  }
  return options;
}

/** The known name within two edits, if there is one. */
function closest(name: string, names: ReadonlySet<string>): string | undefined {
  const lower = name.toLowerCase().replaceAll('_', '');
  let best: string | undefined;
  let least = 3;
  for (const known of names) {
    const distance = editDistance(lower, known.toLowerCase());
    if (distance < least) [best, least] = [known, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(previous[j]! + 1, row[j - 1]! + 1, swap));
    }
    previous = row;
  }
  return previous[b.length]!;
}

export function boolean(value: unknown, byDefault: boolean, name: string, what: string): boolean {
  if (value === undefined) return byDefault;
  if (typeof value !== 'boolean')
    throw invalidArgument(`${what}: ${name} must be true or false, not ${describeValue(value)}.`);
  return value;
}

export function integer(value: unknown, min: number, max: number, name: string, what: string): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw invalidArgument(`${what}: ${name} must be an integer from ${min} to ${max}, not ${describeValue(value)}.`);
  }
  return value;
}

export function choice<const T extends string | boolean, D extends T | undefined>(
  value: unknown,
  known: readonly T[],
  byDefault: D,
  name: string,
  what: string,
): T | D {
  if (value === undefined) return byDefault;
  if (!known.includes(value as T)) {
    throw invalidArgument(
      `${what}: ${name} must be ${known.map((k) => (typeof k === 'string' ? `'${k}'` : k)).join(' or ')}, not ${describeValue(value)}.`,
    );
  }
  return value as T;
}

/** @throws CheckpointError INVALID_ARGUMENT for what is neither an AbortSignal nor undefined. */
export function checkSignal(value: unknown, what: string): AbortSignal | undefined {
  if (value === undefined) return undefined;
  const candidate = value as Partial<AbortSignal> | null;
  if (typeof candidate?.aborted !== 'boolean' || typeof candidate.addEventListener !== 'function') {
    throw invalidArgument(`${what}: signal must be an AbortSignal, not ${describeValue(value)}.`);
  }
  return value as AbortSignal;
}

export function callback<T>(value: T | undefined, name: string, what: string): T | undefined {
  if (value === undefined || typeof value === 'function') return value;
  throw invalidArgument(`${what}: ${name} must be a function, not ${describeValue(value)}.`);
}
