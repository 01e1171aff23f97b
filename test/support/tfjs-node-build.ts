import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type * as tfjs from '@tensorflow/tfjs';

/** The real @tensorflow/tfjs-node, which `scripts/tfjs-node.mjs` builds in `.tfjs-node`. */
export type TfjsNode = typeof tfjs;

// Programs compiled for child processes lie two levels below the root as well.
const home = fileURLToPath(new URL('../../.tfjs-node/', import.meta.url));

/** Why tfjs-node can't be used here; null if it can. `TENSOR_CHECKPOINT_TFJS_NODE=none` hides it. */
export function tfjsNodeMissing(): string | null {
  if (process.env.TENSOR_CHECKPOINT_TFJS_NODE === 'none') return 'TENSOR_CHECKPOINT_TFJS_NODE=none';
  const major = Number(process.versions.node.split('.')[0]);
  if (major > 22) return `tfjs-node 4.22 works up to Node 22, this is ${process.version}`;
  if (!existsSync(`${home}node_modules/@tensorflow/tfjs-node/lib`)) {
    return 'no tfjs-node in .tfjs-node; `node scripts/tfjs-node.mjs` builds it, .ci/run does';
  }
  return null;
}

/** Loads it into this process: from then on a TensorFlow runtime is there. */
export function loadTfjsNode(): TfjsNode {
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '3';
  return createRequire(home)('@tensorflow/tfjs-node') as TfjsNode;
}
