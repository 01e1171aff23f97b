/** `tensor-checkpoint/tfjs`: checkpoints of TensorFlow.js. */
export { tfjs } from './adapter.ts';
export type { TensorFlowJs } from './types.ts';
