#ifndef TENSOR_CHECKPOINT_BINDING_NATIVE_BYTES_H_
#define TENSOR_CHECKPOINT_BINDING_NATIVE_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "binding/node_api.h"
#include "format/wire_writer.h"

namespace tensor_checkpoint {

// `NativeBytes` of src/native/contract-encode.ts: what was written from `start` on, and the memory, which lives as long as the
// object. undefined where the thread is being terminated.
Napi::Value NativeBytesToJs(Napi::Env env, WrittenBytes bytes, size_t start = 0);

// The bytes of such an object, nullopt for any other value.
std::optional<std::span<const uint8_t>> NativeBytesFromJs(Napi::Value value);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_NATIVE_BYTES_H_
