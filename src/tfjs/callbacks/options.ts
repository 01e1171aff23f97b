import { optionsObject } from '../../checkpoint/options.ts';
import { invalidArgument } from '../../errors.ts';

/** Checks the options of a callback, one after the other. */
export class OptionCheck<Options extends object> {
  readonly given: Partial<Options>;
  readonly #what: string;

  /** @throws CheckpointError INVALID_ARGUMENT for a name that isn't known. */
  constructor(what: string, options: unknown, names: readonly (keyof Options & string)[]) {
    this.#what = what;
    if (options === undefined) throw invalidArgument(`${what}: the option directory is required.`);
    this.given = optionsObject(options, new Set(names), what) as Partial<Options>;
  }

  /** @throws CheckpointError INVALID_ARGUMENT unless the option isn't given or fits. */
  require(name: keyof Options & string, expected: string, fits: (value: unknown) => boolean): void {
    const value: unknown = this.given[name];
    if (value === undefined || fits(value)) return;
    const shown = typeof value === 'object' ? JSON.stringify(value) : String(value);
    throw invalidArgument(`${this.#what}: ${name} must be ${expected}, not ${shown}.`);
  }

  flags(...names: (keyof Options & string)[]): void {
    for (const name of names) this.require(name, 'true or false', (value) => typeof value === 'boolean');
  }

  saveFreq(name: keyof Options & string): void {
    const fits = (value: unknown) => value === 'epoch' || (Number.isSafeInteger(value) && (value as number) > 0);
    this.require(name, "'epoch' or a number of batches, at least 1", fits);
  }

  objects(name: keyof Options & string, taken: readonly string[]): void {
    const fits = (value: unknown) =>
      typeof value === 'object' && value !== null && !taken.some((reserved) => Object.hasOwn(value, reserved));
    this.require(name, `an object of what is saved beside the model, with other names than ${taken.join(', ')}`, fits);
  }
}
