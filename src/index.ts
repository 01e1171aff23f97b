/**
 * Checkpoints of training runs: crash-safe, asynchronous, checksummed, in TensorFlow's own files.
 * @packageDocumentation
 */
export type { CheckpointReader, GetTensorOptions } from './bundle/checkpoint-reader.ts';
export type { VerifyOptions, VerifyProblem, VerifyReport } from './bundle/index.ts';
export {
  type Adapter,
  Checkpoint,
  type CheckpointOptions,
  Counter,
  type LinkOptions,
  type LinkResult,
  type LoadStatus,
  linkCheckpoint,
  type ReadOptions,
  type Serializable,
  type TrackableNode,
  type TrackableValue,
  type WriteOptions,
} from './checkpoint/index.ts';
export { CheckpointError, type CheckpointErrorCode, type CheckpointErrorContext, isCheckpointError } from './errors.ts';
export * from './manager/index.ts';
export { engineInfo } from './native/engine.ts';
export { type DType, isDType } from './tensor/dtypes.ts';
export { HostTensor, type HostTensorInit, isHostTensor } from './tensor/host-tensor.ts';
