#include "binding/cuda.h"

#include <string>
#include <utility>

#include "binding/cuda_arguments.h"
#include "binding/device_handle.h"
#include "binding/environment.h"
#include "binding/events_to_js.h"
#include "binding/wrong_arguments.h"
#include "device/cuda_driver.h"
#include "device/host_copy.h"
#include "device/pointer_info.h"

namespace tensor_checkpoint {
namespace {

// null where there are devices.
Napi::Value Unavailable(const Napi::CallbackInfo& info) {
  auto driver = CudaDriver::Shared();
  return driver.ok() ? info.Env().Null() : Napi::Value(ErrorToJs(info.Env(), {driver.status()}));
}

Result<Napi::Object> DescribeDevice(Napi::Env env, const CudaDriver& driver, int ordinal) {
  const CudaFunctions& call = driver.call();
  const std::string what = "device " + std::to_string(ordinal);
  CUdevice device = 0;
  char name[256] = {};
  char bus_id[32] = {};
  size_t bytes = 0;
  Status status = driver.Check(call.cuDeviceGet(&device, ordinal), "cuDeviceGet", what);
  if (status.ok()) status = driver.Check(call.cuDeviceGetName(name, sizeof name, device), "cuDeviceGetName", what);
  if (status.ok()) status = driver.Check(call.cuDeviceTotalMem(&bytes, device), "cuDeviceTotalMem", what);
  if (status.ok()) {
    status = driver.Check(call.cuDeviceGetPCIBusId(bus_id, sizeof bus_id, device), "cuDeviceGetPCIBusId", what);
  }
  if (!status.ok()) return status;
  Napi::Object object = Napi::Object::New(env);
  object.Set("ordinal", Napi::Number::New(env, ordinal));
  object.Set("name", std::string(name));
  object.Set("totalMemory", Napi::Number::New(env, static_cast<double>(bytes)));
  object.Set("pciBusId", std::string(bus_id));
  return object;
}

Napi::Value Devices(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto driver = CudaDriver::Shared();
  if (!driver.ok()) return FailureToJs(env, driver.status());
  Napi::Array devices = Napi::Array::New(env);
  for (int ordinal = 0; ordinal < (*driver)->device_count(); ++ordinal) {
    auto described = DescribeDevice(env, **driver, ordinal);
    if (!described.ok()) return FailureToJs(env, described.status());
    devices.Set(static_cast<uint32_t>(ordinal), *described);
  }
  return devices;
}

Napi::Value Allocate(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto device = WholeArgument(info[0]);
  const auto bytes = WholeArgument(info[1]);
  if (!device || *device > UINT32_MAX || !bytes || *bytes == 0) return WrongArguments(env);
  auto context = ContextForTensors(static_cast<uint32_t>(*device));
  if (!context.ok()) return FailureToJs(env, context.status());
  auto memory = AllocateForTensor(*context, static_cast<size_t>(*bytes));
  if (!memory.ok()) return FailureToJs(env, memory.status());
  Napi::Object result = Napi::Object::New(env);
  result.Set("pointer", Napi::BigInt::New(env, static_cast<uint64_t>((*memory)->address())));
  result.Set("handle", DeviceHandle::New(env, Environment::Of(env).shared_engine(), *memory,
                                         DeviceHandle::Release::kOnEngine));
  return result;
}

Napi::Value Release(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) return WrongArguments(info.Env());
  DeviceHandle::Of(info[0]).Drop();
  return info.Env().Undefined();
}

Napi::Value Describe(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto pointer = AddressArgument(info[0]);
  const auto bytes = WholeArgument(info[1]);
  if (!pointer || !bytes) return WrongArguments(env);
  auto driver = CudaDriver::Shared();
  if (!driver.ok()) return FailureToJs(env, driver.status());
  auto described = DescribePointer(**driver, *pointer, *bytes);
  if (!described.ok()) return FailureToJs(env, described.status());
  constexpr const char* kKinds[] = {"unknown", "host", "device", "managed"};
  Napi::Object result = Napi::Object::New(env);
  result.Set("kind", kKinds[static_cast<size_t>(described->kind)]);
  result.Set("device", Napi::Number::New(env, described->device));
  result.Set("bytes", Napi::Number::New(env, static_cast<double>(described->bytes)));
  return result;
}

// (toHost, device, stream or null, pointer, buffer, offset, bytes, done)
Napi::Value Copy(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto device = WholeArgument(info[1]);
  const auto stream = info[2].IsNull() ? std::optional<uint64_t>(0) : AddressArgument(info[2]);
  const auto pointer = AddressArgument(info[3]);
  const auto offset = WholeArgument(info[5]);
  const auto bytes = WholeArgument(info[6]);
  if (!info[0].IsBoolean() || !device || *device > UINT32_MAX || !stream || !pointer || !info[4].IsArrayBuffer() ||
      !offset || !bytes || !info[7].IsFunction()) {
    return WrongArguments(env);
  }
  Napi::ArrayBuffer buffer = info[4].As<Napi::ArrayBuffer>();
  if (*offset > buffer.ByteLength() || *bytes > buffer.ByteLength() - *offset) return WrongArguments(env);
  auto* const memory = static_cast<uint8_t*>(buffer.Data()) + *offset;
  const auto behind = info[2].IsNull() ? std::nullopt : stream;
  const bool to_host = info[0].As<Napi::Boolean>().Value();
  // Kept alive beside the buffer: whatever the device memory belongs to.
  Napi::Object kept = Napi::Object::New(env);
  kept.Set("buffer", buffer);
  if (info.Length() > 8) kept.Set("owner", info[8]);
  Environment::Of(env).RunTask(
      info[7].As<Napi::Function>(),
      [=, &devices = Environment::Of(env).engine().devices(), ordinal = static_cast<uint32_t>(*device), at = *pointer, count = static_cast<size_t>(*bytes),
       pin = Allocations::Find(buffer.Data())]() -> Environment::Deliver {
        auto context = ContextForTensors(ordinal);
        Status status = context.status();
        if (status.ok() && count > 0) {
          status = to_host ? CopyToHost(*context, devices.pinned(), behind, at, memory, count)
                           : CopyToDevice(*context, devices.pinned(), behind, memory, at, count);
        }
        return [status](Napi::Env deliver_env, const Napi::Function& done) {
          if (status.ok()) {
            done.Call({deliver_env.Null()});
          } else {
            done.Call({ErrorToJs(deliver_env, {status})});
          }
        };
      },
      kept);
  return env.Undefined();
}

}  // namespace

void ExportCuda(Napi::Env env, Napi::Object exports) {
  exports.Set("cudaUnavailable", Napi::Function::New<Unavailable>(env));
  exports.Set("cudaDevices", Napi::Function::New<Devices>(env));
  exports.Set("cudaAllocate", Napi::Function::New<Allocate>(env));
  exports.Set("cudaRelease", Napi::Function::New<Release>(env));
  exports.Set("cudaDescribe", Napi::Function::New<Describe>(env));
  exports.Set("cudaCopy", Napi::Function::New<Copy>(env));
}

}  // namespace tensor_checkpoint
