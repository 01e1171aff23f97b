/** `tensor-checkpoint/cuda`: tensors in the memory of CUDA devices. */
export { type DevicePointerInit, DeviceTensor, type DeviceTensorInit, isDeviceTensor } from './device-tensor.ts';
export { type CudaDevice, cudaAvailable, cudaDevices, cudaUnavailableReason } from './devices.ts';
export { releaseDeviceMemory, reserveSnapshotPool } from './snapshot-pool.ts';
