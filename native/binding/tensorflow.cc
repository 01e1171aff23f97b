#include "binding/tensorflow.h"

#include <memory>
#include <utility>
#include <vector>

#include "binding/allocations.h"
#include "binding/array_buffers.h"
#include "binding/arrays_to_js.h"
#include "binding/cuda_arguments.h"
#include "binding/environment.h"
#include "binding/events_to_js.h"
#include "binding/wrong_arguments.h"
#include "device/pointer_info.h"
#include "tensorflow/runtime.h"

namespace tensor_checkpoint {
namespace {

Napi::Value FindTensorFlow(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object object = Napi::Object::New(env);
  Result<TensorFlowRuntime*> runtime = TensorFlowRuntime::Get();
  if (!runtime.ok()) {
    object.Set("error", ErrorToJs(env, {runtime.status()}));
    return object;
  }
  object.Set("version", (*runtime)->version());
  object.Set("borrowOp", (*runtime)->borrow_op());
  object.Set("provideOp", (*runtime)->provide_op());
  return object;
}

// Executes the ops: JS that has TensorFlow call our kernels on this thread. A JS exception stays pending.
bool Execute(Napi::Env env, const Napi::Value& execute) {
  execute.As<Napi::Function>().Call({});
  return !env.IsExceptionPending();
}

// The CUDA device that has this memory of a GPU's; kHost for memory of the host.
constexpr int kHost = -1;
Result<int> DeviceOf(const Borrow::Item& item) {
  if (!item.on_gpu || item.bytes == 0) return kHost;
  auto driver = CudaDriver::Shared();
  if (!driver.ok()) return driver.status();
  auto found = DescribePointer(**driver, static_cast<CUdeviceptr>(reinterpret_cast<uintptr_t>(item.data)), item.bytes);
  if (!found.ok()) return found.status();
  const bool on_device = found->kind == PointerInfo::Kind::kDevice || found->kind == PointerInfo::Kind::kManaged;
  if (on_device && found->bytes >= item.bytes) return found->device;
  return Status(Code::kUnsupported, "the CUDA driver doesn't know the memory of TensorFlow's GPU");
}

// The tensors, kept by the environment.
Napi::Value BorrowToJs(Napi::Env env, std::unique_ptr<Borrow> borrow) {
  const auto& items = borrow->items();
  std::vector<double> addresses(items.size()), bytes(items.size());
  std::vector<uint8_t> types(items.size());
  std::vector<int32_t> devices(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    addresses[i] = static_cast<double>(reinterpret_cast<uintptr_t>(items[i].data));
    bytes[i] = static_cast<double>(items[i].bytes);
    types[i] = static_cast<uint8_t>(items[i].type);
    const Result<int> device = DeviceOf(items[i]);
    if (!device.ok()) return FailureToJs(env, device.status());
    devices[i] = *device;
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("copiedBytes", Napi::Number::New(env, static_cast<double>(borrow->copied())));
  result.Set("id", Napi::Number::New(env, Environment::Of(env).Keep(std::move(borrow))));
  result.Set("addresses", ColumnToJs(env, std::move(addresses)));
  result.Set("bytes", ColumnToJs(env, std::move(bytes)));
  result.Set("types", ColumnToJs(env, std::move(types)));
  result.Set("devices", ColumnToJs(env, std::move(devices)));
  return result;
}

Napi::Value BorrowTensors(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsFunction()) return WrongArguments(env);
  auto borrow = std::make_unique<Borrow>();
  TensorFlowRuntime::SetBorrow(borrow.get());
  const bool executed = Execute(env, info[0]);
  TensorFlowRuntime::SetBorrow(nullptr);
  return executed ? BorrowToJs(env, std::move(borrow)) : env.Undefined();
}

Napi::Value HoldTensors(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsFunction()) return WrongArguments(env);
  auto borrow = std::make_unique<Borrow>(Borrow::Use::kFree);
  TensorFlowRuntime::SetBorrow(borrow.get());
  const bool executed = Execute(env, info[0]);
  TensorFlowRuntime::SetBorrow(nullptr);
  if (!executed) return env.Undefined();
  return Napi::Number::New(env, Environment::Of(env).Keep(std::move(borrow)));
}

void FreeTensors(const Napi::CallbackInfo& info) {
  if (info.Length() < 2 || !info[0].IsNumber() || !info[1].IsFunction()) {
    WrongArguments(info.Env());
    return;
  }
  Environment::Of(info.Env()).Free(info[0].As<Napi::Number>().Uint32Value(), info[1].As<Napi::Function>());
}

void ReleaseBorrow(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsNumber()) {
    WrongArguments(info.Env());
    return;
  }
  Environment::Of(info.Env()).Release(info[0].As<Napi::Number>().Uint32Value());
}

// The dimensions in `array`; false if they aren't numbers.
bool ReadDims(const Napi::Array& array, std::vector<int64_t>& dims) {
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value dim = array.Get(i);
    if (!dim.IsNumber()) return false;
    dims.push_back(dim.As<Napi::Number>().Int64Value());
  }
  return true;
}

// (type, dims, bytes, execute)
Napi::Value PlaceTensor(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 4 || !info[0].IsNumber() || !info[1].IsArray() || !info[3].IsFunction()) return WrongArguments(env);
  const auto bytes = WholeArgument(info[2]);
  Placement placement{info[0].As<Napi::Number>().Int32Value(), {}, static_cast<size_t>(bytes.value_or(0))};
  if (!bytes || !ReadDims(info[1].As<Napi::Array>(), placement.dims)) return WrongArguments(env);
  TensorFlowRuntime::SetPlacement(&placement);
  const bool executed = Execute(env, info[3]);
  TensorFlowRuntime::SetPlacement(nullptr);
  return executed ? BorrowToJs(env, std::move(placement.made)) : env.Undefined();
}

Napi::Value ProvideTensor(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 4 || !info[0].IsArrayBuffer() || !info[1].IsNumber() || !info[2].IsArray() ||
      !info[3].IsFunction()) {
    return WrongArguments(env);
  }
  void* data = nullptr;
  size_t bytes = 0;
  if (napi_get_arraybuffer_info(env, info[0], &data, &bytes) != napi_ok) return WrongArguments(env);
  Provision::Item item{info[1].As<Napi::Number>().Int32Value(), {}, Allocations::Find(data),
                       static_cast<uint8_t*>(data), bytes};
  // Memory that isn't ours can't be kept for TensorFlow.
  if (item.memory == nullptr) return env.Null();
  if (!ReadDims(info[2].As<Napi::Array>(), item.dims)) return WrongArguments(env);
  Provision provision;
  provision.items.push_back(std::move(item));
  TensorFlowRuntime::SetProvision(&provision);
  const bool executed = Execute(env, info[3]);
  TensorFlowRuntime::SetProvision(nullptr);
  if (!executed) return env.Undefined();
  // The memory is TensorFlow's now, and never changes: JS must not reach it any more.
  CountWhole(env, data);
  napi_detach_arraybuffer(env, info[0]);
  return Napi::Number::New(env, static_cast<double>(reinterpret_cast<uintptr_t>(data)));
}

}  // namespace

void ExportTensorFlow(Napi::Env env, Napi::Object exports) {
  exports.Set("findTensorFlow", Napi::Function::New<FindTensorFlow>(env));
  exports.Set("borrowTensors", Napi::Function::New<BorrowTensors>(env));
  exports.Set("releaseBorrow", Napi::Function::New<ReleaseBorrow>(env));
  exports.Set("placeTensor", Napi::Function::New<PlaceTensor>(env));
  exports.Set("holdTensors", Napi::Function::New<HoldTensors>(env));
  exports.Set("freeTensors", Napi::Function::New<FreeTensors>(env));
  exports.Set("provideTensor", Napi::Function::New<ProvideTensor>(env));
}

}  // namespace tensor_checkpoint
