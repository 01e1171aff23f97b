/** What the layers above see of checkpoints. */
export { Checkpoint, type CheckpointOptions } from './checkpoint.ts';
export { Counter, type CounterDType, isCounter } from './counter.ts';
export { removeCheckpoint, writeStateFile } from './files.ts';
export { OBJECT_GRAPH_KEY, PYTHON_STATE, SAVE_COUNTER, VARIABLE_VALUE } from './keys.ts';
export { type LinkOptions, type LinkResult, linkCheckpoint } from './link.ts';
export { CheckpointLoadStatus, type LoadStatus } from './load-status.ts';
export {
  type NormalizedReadOptions,
  type NormalizedWriteOptions,
  normalizeReadOptions,
  normalizeWriteOptions,
  type ReadOptions,
  type WriteOptions,
} from './options.ts';
export { type CheckpointState, parseCheckpointState, printCheckpointState } from './state-file.ts';
export { isTemporaryStateFile, type Mark, parseIndexMark, temporaryName } from './temporary-names.ts';
export type {
  Adapter,
  Destination,
  HasCheckpointChildren,
  Serializable,
  Snapshot,
  StoredNode,
  TensorPath,
  TrackableNode,
  TrackableValue,
} from './trackable.ts';
export type {
  StateRequest,
  WriteFailure,
  WriteHandle,
  WriteRequest,
  WriteStats,
  WriteWarning,
} from './write-handle.ts';
