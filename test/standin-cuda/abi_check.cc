// Compiled where the CUDA toolkit's cuda.h is found: what device/cuda_types.h and device/cuda_driver.h declare by hand
// is what the header says, function by function and value by value.
#include "device/cuda_driver.h"

#include <cuda.h>

#include <string_view>
#include <type_traits>

namespace tensor_checkpoint {
namespace {

// Handles are pointers to types of the same name; what counts is how a value is passed.
template <typename Ours, typename Theirs>
constexpr bool kSameValue =
    sizeof(Ours) == sizeof(Theirs) && std::is_pointer_v<Ours> == std::is_pointer_v<Theirs> &&
    (std::is_pointer_v<Ours> ||
     (std::is_integral_v<Ours> && (std::is_integral_v<Theirs> || std::is_enum_v<Theirs>)));

template <typename Ours, typename Theirs>
struct SameCall : std::false_type {};
template <typename... Ours, typename... Theirs>
  requires(sizeof...(Ours) == sizeof...(Theirs))
struct SameCall<int (*)(Ours...), ::CUresult (*)(Theirs...)> {
  static constexpr bool value = (kSameValue<Ours, Theirs> && ...);
};

#define TEXT_OF(name) #name
#define EXPANDED(name) TEXT_OF(name)
#define CHECK_FUNCTION(name, symbol, parameters)                                        \
  static_assert(SameCall<int(*) parameters, decltype(&::name)>::value, "parameters of " symbol); \
  static_assert(std::string_view(EXPANDED(name)) == symbol, "the version of " symbol);
TENSOR_CHECKPOINT_CUDA_FUNCTIONS(CHECK_FUNCTION)

#define CHECK_VALUE(name) static_assert(static_cast<long long>(tensor_checkpoint::name) == static_cast<long long>(::name))
CHECK_VALUE(CUDA_ERROR_OUT_OF_MEMORY);
CHECK_VALUE(CUDA_ERROR_DEVICE_UNAVAILABLE);
CHECK_VALUE(CUDA_ERROR_INVALID_CONTEXT);
CHECK_VALUE(CUDA_ERROR_INVALID_PTX);
CHECK_VALUE(CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
CHECK_VALUE(CUDA_ERROR_OPERATING_SYSTEM);
CHECK_VALUE(CUDA_ERROR_NOT_READY);
CHECK_VALUE(CUDA_ERROR_ILLEGAL_ADDRESS);
CHECK_VALUE(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
CHECK_VALUE(CUDA_ERROR_NOT_PERMITTED);
CHECK_VALUE(CUDA_ERROR_UNKNOWN);
CHECK_VALUE(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
CHECK_VALUE(CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT);
CHECK_VALUE(CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING);
CHECK_VALUE(CU_POINTER_ATTRIBUTE_CONTEXT);
CHECK_VALUE(CU_POINTER_ATTRIBUTE_MEMORY_TYPE);
CHECK_VALUE(CU_POINTER_ATTRIBUTE_IS_MANAGED);
CHECK_VALUE(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL);
CHECK_VALUE(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR);
CHECK_VALUE(CU_POINTER_ATTRIBUTE_RANGE_SIZE);
CHECK_VALUE(CU_MEMORYTYPE_HOST);
CHECK_VALUE(CU_MEMORYTYPE_DEVICE);
CHECK_VALUE(CU_MEMORYTYPE_UNIFIED);
CHECK_VALUE(CU_STREAM_NON_BLOCKING);
CHECK_VALUE(CU_EVENT_DISABLE_TIMING);

}  // namespace
}  // namespace tensor_checkpoint
