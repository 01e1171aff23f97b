#ifndef TENSOR_CHECKPOINT_BINDING_DEVICE_MEMORY_H_
#define TENSOR_CHECKPOINT_BINDING_DEVICE_MEMORY_H_

#include "binding/node_api.h"

namespace tensor_checkpoint {

// Adds reserveSnapshotPool and releaseDeviceMemory of the contract.
void AddDeviceMemory(Napi::Env env, Napi::Object exports);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_DEVICE_MEMORY_H_
