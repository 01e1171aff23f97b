import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Step } from '../../src/native/contract.ts';
import { filesIn } from './directory.ts';
import { hooks } from './reference-addon.ts';

/** Faults for the engine in plain JavaScript, which a test puts in the place of the addon. */

export function noFaults(): void {
  hooks.beforeStep = undefined;
  hooks.programs.length = 0;
}

export const brokenDisk = () => Object.assign(new Error('EIO: the disk is broken'), { code: 'EIO' });

/** Fails the nth step from now on (0-based) of the programs that follow, once. */
export function failAt(n: number): { readonly failed: Step | undefined } {
  const state: { failed: Step | undefined } = { failed: undefined };
  let at = 0;
  hooks.beforeStep = (step) => {
    if (at++ !== n) return;
    state.failed = step;
    throw brokenDisk();
  };
  return state;
}

/** Names and contents, to compare a directory before and after. */
export const contents = (where: string) =>
  Object.fromEntries(filesIn(where).map((name) => [name, readFileSync(join(where, name)).toString('base64')]));

export interface Hold {
  readonly reached: Promise<void>;
  release(): void;
  /** Lets the step fail instead. */
  fail(error: Error): void;
}

/** Holds the program at this step until it is let go. */
export function holdAt(matches: (step: Step) => boolean): Hold {
  let release!: () => void;
  let fail!: (error: Error) => void;
  let reach!: () => void;
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const held = new Promise<void>((resolve, reject) => {
    release = resolve;
    fail = reject;
  });
  hooks.beforeStep = (step) => {
    if (!matches(step)) return undefined;
    reach();
    return held;
  };
  return { reached, release, fail };
}
