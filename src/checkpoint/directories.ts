import { makeDirectoriesSync, readDirectorySync } from '../native/engine.ts';

/** The directories that one write looks into, each listed once, and those that it makes. */
export class Directories {
  readonly #names = new Map<string, readonly string[]>();
  /** Those that were made for it, outermost first: their names are to be made durable with it. */
  readonly created: string[];

  /** @param created made for it already. */
  constructor(created: readonly string[] = []) {
    this.created = [...created];
  }

  /** The names in a directory; none where it doesn't exist. */
  names(directory: string): readonly string[] {
    return this.#names.get(directory) ?? this.#keep(directory, readDirectorySync(directory) ?? []);
  }

  /** The names in a directory that is made where it doesn't exist. */
  make(directory: string): readonly string[] {
    const known = this.#names.get(directory);
    if (known !== undefined && known.length > 0) return known;
    const names = readDirectorySync(directory);
    if (names === null) this.created.push(...makeDirectoriesSync(directory));
    return this.#keep(directory, names ?? []);
  }

  /** Forgets what was listed: it may have changed. */
  forget(): void {
    this.#names.clear();
  }

  #keep(directory: string, names: readonly string[]): readonly string[] {
    this.#names.set(directory, names);
    return names;
  }
}
