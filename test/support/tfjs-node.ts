import { describe } from 'vitest';
import { tfjsNodeMissing } from './tfjs-node-build.ts';

export { loadTfjsNode, type TfjsNode, tfjsNodeMissing } from './tfjs-node-build.ts';

let reported = false;

/** A `describe` that needs tfjs-node. Without it the block is skipped, and the reason is printed once per process. */
export function describeWithTfjsNode(name: string, fn: () => void): void {
  const missing = tfjsNodeMissing();
  if (missing === null) {
    describe(name, fn);
    return;
  }
  if (!reported) {
    reported = true;
    process.stderr.write(`skipped: ${missing}\n`);
  }
  // Not collected: the block loads tfjs-node.
  describe.skip(`${name} (skipped: ${missing})`, () => {});
}
