import type { WriteOptions } from '../../checkpoint/index.ts';
import { optionsObject } from '../../checkpoint/option-checks.ts';
import { describeValue, invalidArgument } from '../../errors.ts';

/** One option of a callback: what it must be, and what it is where it isn't given. */
export interface OptionSpec<T> {
  readonly fallback: T;
  /** For messages: `must be …`. */
  readonly expected: string;
  fits(value: unknown): boolean;
  /** What is made of a value that was given. Default: itself. */
  merge?(given: T): T;
}

/** The options of a callback by name, `directory` left out: every callback has one. */
export type OptionSpecs<Options extends { directory: string }> = {
  readonly [Name in keyof Omit<Options, 'directory'>]: OptionSpec<Options[Name]>;
};

/**
 * Options as their callback uses them: checked, nothing left out.
 *
 * @throws CheckpointError INVALID_ARGUMENT naming the option that is missing, unknown, or not what it must be.
 */
export function normalizeOptions<Options extends { directory: string }>(
  what: string,
  options: unknown,
  specs: OptionSpecs<Options>,
): Options {
  const names = ['directory', ...Object.keys(specs)];
  const given = optionsObject(options, new Set(names), what) as Record<string, unknown>;
  const { directory } = given;
  if (typeof directory !== 'string' || directory === '') {
    throw invalidArgument(`${what}: the option directory is required: a path, not ${describeValue(directory)}.`);
  }
  const normalized: Record<string, unknown> = { directory };
  for (const [name, { fallback, expected, fits, merge }] of Object.entries(
    specs as Record<string, OptionSpec<unknown>>,
  )) {
    const value = given[name];
    if (value !== undefined && !fits(value)) {
      throw invalidArgument(`${what}: ${name} must be ${expected}, not ${describeValue(value)}.`);
    }
    normalized[name] = value === undefined ? fallback : (merge?.(value) ?? value);
  }
  return normalized as Options;
}

export function flag(fallback: boolean): OptionSpec<boolean> {
  return { fallback, expected: 'true or false', fits: (value) => typeof value === 'boolean' };
}

/** When to save: the same for every callback. */
export const SAVE_FREQ: OptionSpec<'epoch' | number> = {
  fallback: 'epoch',
  expected: "'epoch' or a number of batches, at least 1",
  fits: (value) => value === 'epoch' || (Number.isSafeInteger(value) && (value as number) > 0),
};

/** How to save: in the background, unless the caller says otherwise. What else is in it, the manager checks. */
export const WRITE: OptionSpec<WriteOptions> = {
  fallback: { enableAsync: true },
  expected: 'an object of write options',
  fits: (value) => typeof value === 'object' && value !== null,
  merge: (given) => ({ enableAsync: true, ...given }),
};

/** What is saved beside the model. @param taken Names that the callback itself saves under. */
export function objectsBeside(...taken: string[]): OptionSpec<Record<string, unknown>> {
  return {
    fallback: {},
    expected: `an object of what is saved beside the model, with other names than ${taken.join(', ')}`,
    fits: (value) =>
      typeof value === 'object' && value !== null && !taken.some((reserved) => Object.hasOwn(value, reserved)),
  };
}
