/** `tensor-checkpoint/tfjs`: checkpoints of TensorFlow.js. */
export { type TfjsAdapter, tfjs } from './adapter.ts';
export { type BackupAndRestoreOptions, backupAndRestore } from './callbacks/backup-and-restore.ts';
export type { Closable, TensorFlowJsLayers } from './callbacks/callback.ts';
export { type ModelCheckpointOptions, modelCheckpoint } from './callbacks/model-checkpoint.ts';
export type { MonitorMode } from './callbacks/monitor.ts';
export {
  type CheckpointDescription,
  describeCheckpoint,
  type ModelDescription,
  type ModelTopology,
  type ModelTopologyOptions,
  modelTopology,
} from './describe.ts';
export { type ExportedTfjsModel, type ExportTfjsModelOptions, exportTfjsModel } from './export-model.ts';
export { type ImportTfjsModelOptions, importTfjsModel } from './import-model.ts';
export { type LoadedModel, type LoadModelOptions, loadModel, type TensorFlowJsModels } from './load-model.ts';
export {
  type DatasetLike,
  type Resumable,
  type ResumableOptions,
  type ResumableSource,
  resumable,
} from './resumable.ts';
export { type CheckpointRouterOptions, registerCheckpointRouter, type TensorFlowJsIo } from './router.ts';
export type { TensorFlowJs } from './types.ts';
