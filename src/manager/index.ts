/** What the layers above see of managing checkpoints. */
export type { CheckpointState } from '../checkpoint/state-file.ts';
export type { DamagedEvent, ManagerEvents, ManagerWarning, SavedEvent } from './events.ts';
export { type CheckpointsIteratorOptions, checkpointsIterator } from './iterator.ts';
export {
  checkpointExists,
  getCheckpointState,
  latestCheckpoint,
  listVariables,
  loadCheckpoint,
  loadVariable,
  removeCheckpoint,
  verifyCheckpoint,
} from './latest.ts';
export { CheckpointManager } from './manager.ts';
export type { CheckpointManagerOptions, SaveOptions } from './options.ts';
export type { SaveHandle } from './pending-save.ts';
export { type SaveOnSignalOptions, type SignalSaver, saveOnSignal } from './save-on-signal.ts';
