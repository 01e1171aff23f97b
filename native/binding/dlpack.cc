#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "binding/cuda.h"
#include "binding/cuda_arguments.h"
#include "binding/device_handle.h"
#include "binding/environment.h"
#include "binding/events_to_js.h"
#include "binding/wrong_arguments.h"
#include "device/dlpack.h"

// Tensors of other addons, and ours for them, as Externals that hold a DLManagedTensor or DLManagedTensorVersioned. An
// External says nothing of what it points to: which of the two it is, and that it is one at all, has to be believed.
namespace tensor_checkpoint {
namespace {

constexpr int32_t kMaxRank = 254;  // TensorFlow's.

Status Refuse(std::string message) { return Status(Code::kInvalidArgument, std::move(message)); }

// The tensors taken over and not yet given back: taking one twice would free it twice.
class Taken {
 public:
  static bool Add(void* tensor) {
    std::lock_guard lock(Mutex());
    return Set().insert(tensor).second;
  }
  static void Remove(void* tensor) {
    std::lock_guard lock(Mutex());
    Set().erase(tensor);
  }

 private:
  static std::mutex& Mutex() {
    static auto& mutex = *new std::mutex;
    return mutex;
  }
  static std::set<void*>& Set() {
    static auto& set = *new std::set<void*>;
    return set;
  }
};

Status CheckTensor(const DLTensor& tensor) {
  if (tensor.device.device_type != kDLCUDA) {
    return Refuse("the DLPack tensor lies on a device of type " + std::to_string(tensor.device.device_type) +
                  ", not in CUDA device memory (type 2)");
  }
  if (tensor.device.device_id < 0) return Refuse("the DLPack tensor has a negative device id");
  if (tensor.ndim < 0 || tensor.ndim > kMaxRank || (tensor.ndim > 0 && tensor.shape == nullptr)) {
    return Refuse("the DLPack tensor has " + std::to_string(tensor.ndim) +
                  " dimensions; is the External really a DLManagedTensor, and of the version said?");
  }
  bool empty = false;
  for (int32_t i = 0; i < tensor.ndim; ++i) {
    if (tensor.shape[i] < 0) return Refuse("the DLPack tensor has a negative dimension");
    empty = empty || tensor.shape[i] == 0;
  }
  if (tensor.strides == nullptr || empty) return Status::Ok();
  int64_t expected = 1;
  for (int32_t i = tensor.ndim - 1; i >= 0; --i) {
    // The stride of a dimension of one element is never used, and may be anything.
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) {
      return Refuse("the DLPack tensor is not contiguous in row-major order; make it so before handing it over");
    }
    if (__builtin_mul_overflow(expected, tensor.shape[i], &expected)) {
      return Refuse("the DLPack tensor has more elements than an int64 counts");
    }
  }
  return Status::Ok();
}

template <typename Managed>
std::shared_ptr<void> TakeOver(Managed* managed) {
  return std::shared_ptr<void>(managed, [](void* tensor) {
    Taken::Remove(tensor);
    auto* const own = static_cast<Managed*>(tensor);
    if (own->deleter != nullptr) own->deleter(own);
  });
}

Napi::Object Describe(Napi::Env env, const DLTensor& tensor, bool read_only) {
  Napi::Array shape = Napi::Array::New(env, static_cast<size_t>(tensor.ndim));
  for (int32_t i = 0; i < tensor.ndim; ++i) {
    shape.Set(static_cast<uint32_t>(i), Napi::Number::New(env, static_cast<double>(tensor.shape[i])));
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("pointer", Napi::BigInt::New(env, reinterpret_cast<uint64_t>(tensor.data) + tensor.byte_offset));
  result.Set("device", Napi::Number::New(env, tensor.device.device_id));
  result.Set("code", Napi::Number::New(env, tensor.dtype.code));
  result.Set("bits", Napi::Number::New(env, tensor.dtype.bits));
  result.Set("lanes", Napi::Number::New(env, tensor.dtype.lanes));
  result.Set("shape", shape);
  result.Set("readOnly", Napi::Boolean::New(env, read_only));
  return result;
}

// (external, versioned, take)
Napi::Value Take(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsExternal() || !info[1].IsBoolean() || !info[2].IsBoolean()) return WrongArguments(env);
  void* data = nullptr;
  if (napi_get_value_external(env, info[0], &data) != napi_ok || data == nullptr) {
    return FailureToJs(env, Refuse("the External points to nothing"));
  }
  const bool is_versioned = info[1].As<Napi::Boolean>().Value();
  auto* const versioned = static_cast<DLManagedTensorVersioned*>(data);
  if (is_versioned && versioned->version.major != kDLPackMajor) {
    return FailureToJs(env, Refuse("DLPack of version " + std::to_string(versioned->version.major) +
                                   " is not known here, only 1; is it a DLManagedTensor without a version?"));
  }
  const DLTensor& tensor = is_versioned ? versioned->dl_tensor : static_cast<DLManagedTensor*>(data)->dl_tensor;
  if (Status status = CheckTensor(tensor); !status.ok()) return FailureToJs(env, std::move(status));
  Napi::Object result = Describe(env, tensor, is_versioned && (versioned->flags & kDLPackReadOnly) != 0);
  if (!info[2].As<Napi::Boolean>().Value()) return result;
  if (!Taken::Add(data)) {
    return FailureToJs(env, Refuse("this DLPack tensor was taken over before: it can be used once"));
  }
  auto memory = is_versioned ? TakeOver(versioned) : TakeOver(static_cast<DLManagedTensor*>(data));
  result.Set("handle", DeviceHandle::New(env, Environment::Of(env).shared_engine(), std::move(memory),
                                         DeviceHandle::Release::kHere));
  return result;
}

// A tensor of ours on its way to somebody else, who ends it with its deleter, on any thread.
template <typename Managed>
struct Given {
  Managed managed{};
  std::vector<int64_t> shape;
  std::shared_ptr<void> memory;

  static void Delete(Managed* managed) { delete static_cast<Given*>(managed->manager_ctx); }
};

template <typename Managed>
void* Give(DLTensor tensor, std::vector<int64_t> shape, std::shared_ptr<void> memory) {
  auto* const given = new Given<Managed>;
  given->shape = std::move(shape);
  given->memory = std::move(memory);
  tensor.shape = given->shape.data();
  given->managed.dl_tensor = tensor;
  given->managed.manager_ctx = given;
  given->managed.deleter = Given<Managed>::Delete;
  if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) given->managed.version = {kDLPackMajor, 0};
  return &given->managed;
}

// (keeper, isHandle, pointer, device, code, bits, shape, versioned)
Napi::Value Hand(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto pointer = AddressArgument(info[2]);
  const auto device = WholeArgument(info[3]);
  const auto code = WholeArgument(info[4]);
  const auto bits = WholeArgument(info[5]);
  if (!info[1].IsBoolean() || !pointer || !device || !code || !bits || !info[6].IsArray() || !info[7].IsBoolean()) {
    return WrongArguments(env);
  }
  const bool is_handle = info[1].As<Napi::Boolean>().Value();
  if (is_handle ? !info[0].IsExternal() : !info[0].IsObject()) return WrongArguments(env);
  Napi::Array dimensions = info[6].As<Napi::Array>();
  std::vector<int64_t> shape;
  for (uint32_t i = 0; i < dimensions.Length(); ++i) {
    const auto dimension = WholeArgument(dimensions.Get(i));
    if (!dimension) return WrongArguments(env);
    shape.push_back(static_cast<int64_t>(*dimension));
  }
  DLTensor tensor{};
  tensor.data = reinterpret_cast<void*>(*pointer);
  tensor.device = {kDLCUDA, static_cast<int32_t>(*device)};
  tensor.ndim = static_cast<int32_t>(shape.size());
  tensor.dtype = {static_cast<uint8_t>(*code), static_cast<uint8_t>(*bits), 1};
  const std::shared_ptr<void> memory =
      is_handle ? DeviceHandle::Of(info[0]).memory() : Environment::Of(env).KeepAlive(info[0].As<Napi::Object>());
  void* const managed = info[7].As<Napi::Boolean>().Value()
                            ? Give<DLManagedTensorVersioned>(tensor, std::move(shape), memory)
                            : Give<DLManagedTensor>(tensor, std::move(shape), memory);
  // No finalizer: nothing tells whether somebody has taken the tensor, who would end it a second time.
  return Napi::External<void>::New(env, managed);
}

}  // namespace

void ExportDLPack(Napi::Env env, Napi::Object exports) {
  exports.Set("dlpackTake", Napi::Function::New<Take>(env));
  exports.Set("dlpackGive", Napi::Function::New<Hand>(env));
}

}  // namespace tensor_checkpoint
