// Compiled where cufile.h is found: what device/cufile_types.h and device/cufile.h declare by hand is what it says.
#include "device/cufile.h"

#include <cufile.h>

#include <cstddef>
#include <type_traits>

namespace tensor_checkpoint {
namespace {

#define SAME_PLACE(ours, theirs, member) static_assert(offsetof(ours, member) == offsetof(theirs, member))

static_assert(sizeof(CUfileError) == sizeof(::CUfileError_t));
SAME_PLACE(CUfileError, ::CUfileError_t, err);
SAME_PLACE(CUfileError, ::CUfileError_t, cu_err);
static_assert(sizeof(CUfileDescr) == sizeof(::CUfileDescr_t));
SAME_PLACE(CUfileDescr, ::CUfileDescr_t, type);
SAME_PLACE(CUfileDescr, ::CUfileDescr_t, handle);
SAME_PLACE(CUfileDescr, ::CUfileDescr_t, fs_ops);
static_assert(offsetof(CUfileDrvProps, room) + sizeof(CUfileDrvProps::room) >= sizeof(::CUfileDrvProps_t) + 128);
SAME_PLACE(CUfileDrvProps, ::CUfileDrvProps_t, nvfs.dstatusflags);
SAME_PLACE(CUfileDrvProps, ::CUfileDrvProps_t, nvfs.dcontrolflags);
SAME_PLACE(CUfileDrvProps, ::CUfileDrvProps_t, max_device_pinned_mem_size);

static_assert(tensor_checkpoint::CU_FILE_CODES_BEGIN == CUFILEOP_BASE_ERR);
static_assert(tensor_checkpoint::CU_FILE_CUDA_DRIVER_ERROR == static_cast<int>(::CU_FILE_CUDA_DRIVER_ERROR));
static_assert(tensor_checkpoint::CU_FILE_HANDLE_TYPE_OPAQUE_FD == static_cast<int>(::CU_FILE_HANDLE_TYPE_OPAQUE_FD));
static_assert(tensor_checkpoint::CU_FILE_ALLOW_COMPAT_MODE == static_cast<unsigned>(::CU_FILE_ALLOW_COMPAT_MODE));
static_assert(tensor_checkpoint::CUFILE_PARAM_PROPERTIES_ALLOW_COMPAT_MODE == static_cast<int>(::CUFILE_PARAM_PROPERTIES_ALLOW_COMPAT_MODE));
static_assert(tensor_checkpoint::CUFILE_PARAM_FORCE_COMPAT_MODE == static_cast<int>(::CUFILE_PARAM_FORCE_COMPAT_MODE));

// Values are passed alike: the same size, and in the same kind of register.
template <typename Ours, typename Theirs>
constexpr bool kSameValue = (std::is_void_v<Ours> && std::is_void_v<Theirs>) ||
                            (sizeof(std::conditional_t<std::is_void_v<Ours>, char, Ours>) ==
                                 sizeof(std::conditional_t<std::is_void_v<Theirs>, char, Theirs>) &&
                             std::is_class_v<Ours> == std::is_class_v<Theirs>);
template <typename Ours, typename Theirs>
struct SameCall : std::false_type {};
template <typename OurResult, typename TheirResult, typename... Ours, typename... Theirs>
  requires(sizeof...(Ours) == sizeof...(Theirs))
struct SameCall<OurResult (*)(Ours...), TheirResult (*)(Theirs...)> {
  static constexpr bool value = kSameValue<OurResult, TheirResult> && (kSameValue<Ours, Theirs> && ...);
};

#define CHECK_FUNCTION(name, result, parameters) \
  static_assert(SameCall<result(*) parameters, decltype(&::name)>::value, "parameters of " #name);
TENSOR_CHECKPOINT_CUFILE_FUNCTIONS(CHECK_FUNCTION)
TENSOR_CHECKPOINT_CUFILE_LATER_FUNCTIONS(CHECK_FUNCTION)

}  // namespace
}  // namespace tensor_checkpoint
