/** What the layers above see of the tensor bundle. */

export {
  type CheckpointReader,
  type GetTensorOptions,
  listVariables,
  loadVariable,
  openCheckpoint,
} from './checkpoint-reader.ts';
export { dataPath, indexPath, parseDataName, splitPrefix } from './names.ts';
export { newTensor } from './new-tensor.ts';
export { BundlePlanner, planBundle } from './plan.ts';
export { openBundle } from './reader.ts';
export type {
  Bundle,
  BundleColumns,
  BundleEntry,
  BundleEntryInfo,
  BundlePlan,
  BundleReadOptions,
  BundleReads,
  PlanOptions,
  TensorSlice,
} from './types.ts';
export { type VerifyOptions, type VerifyProblem, type VerifyReport, verifyBundle } from './verify.ts';
