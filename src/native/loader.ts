import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { CheckpointError } from '../errors.ts';
import type { NativeAddon } from './contract.ts';

// Both src/native and dist/native lie two levels below the package's root.
const packageRoot = fileURLToPath(new URL('../..', import.meta.url));

let addon: NativeAddon | undefined;

/**
 * The addon: a prebuild that fits this platform, or what `npm install` compiled. Loaded at first use, so that
 * importing the package never fails.
 * @throws CheckpointError NATIVE_LOAD_FAILED
 */
export function loadAddon(): NativeAddon {
  if (!addon) {
    const require = createRequire(import.meta.url);
    try {
      const load = require('node-gyp-build') as (directory: string) => NativeAddon;
      addon = load(packageRoot);
    } catch (cause) {
      throw new CheckpointError(
        'NATIVE_LOAD_FAILED',
        `The native engine of tensor-checkpoint could not be loaded for ${process.platform}-${process.arch}, ` +
          `Node ${process.version}. Run "npm rebuild tensor-checkpoint" with a C++20 compiler, make and Python 3 ` +
          `installed. Cause: ${cause instanceof Error ? cause.message : String(cause)}`,
        { path: packageRoot, cause },
      );
    }
  }
  return addon;
}
