#ifndef TENSOR_CHECKPOINT_BINDING_CUDA_ARGUMENTS_H_
#define TENSOR_CHECKPOINT_BINDING_CUDA_ARGUMENTS_H_

#include <cstdint>
#include <optional>

#include "binding/node_api.h"

// Reading what src/cuda passes. On the JS thread.
namespace tensor_checkpoint {

// A whole number below 2^53 as a JS number.
inline std::optional<uint64_t> WholeArgument(Napi::Value value) {
  if (!value.IsNumber()) return std::nullopt;
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= 9007199254740991.0)) return std::nullopt;
  return static_cast<uint64_t>(number);
}

// An address or handle: a bigint.
inline std::optional<uint64_t> AddressArgument(Napi::Value value) {
  if (!value.IsBigInt()) return std::nullopt;
  bool lossless = false;
  const uint64_t address = value.As<Napi::BigInt>().Uint64Value(&lossless);
  return lossless ? std::optional(address) : std::nullopt;
}

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_CUDA_ARGUMENTS_H_
