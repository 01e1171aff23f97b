#ifndef TENSOR_CHECKPOINT_BINDING_NODE_API_H_
#define TENSOR_CHECKPOINT_BINDING_NODE_API_H_

// The one way to napi.h: C++ exceptions off, Node-API 8 (both set by binding.gyp), nothing deprecated.
#include <napi.h>

#endif  // TENSOR_CHECKPOINT_BINDING_NODE_API_H_
