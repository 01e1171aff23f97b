// An addon for tests that plays another library which uses CUDA in the same process, such as a training framework: it
// has memory, streams and DLPack tensors of its own. It also passes on what tests tell the stand-in driver.
#include <dlfcn.h>
#include <napi.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "device/cuda_driver.h"
#include "device/dlpack.h"

using namespace tensor_checkpoint;

namespace {

const CudaDriver* driver = nullptr;
std::map<int, CUcontext> contexts;
int deleters_called = 0;

void Throw(Napi::Env env, const std::string& message) { Napi::Error::New(env, message).ThrowAsJavaScriptException(); }

bool Ok(Napi::Env env, CUresult result, const char* function) {
  if (result == CUDA_SUCCESS) return true;
  Throw(env, driver->Check(result, function).message());
  return false;
}

uint64_t Address(Napi::Value value) {
  bool lossless;
  return value.As<Napi::BigInt>().Uint64Value(&lossless);
}

std::string Text(Napi::Value value) { return value.As<Napi::String>().Utf8Value(); }

// Makes a device's context current for one call.
class On {
 public:
  On(Napi::Env env, int device) {
    if (contexts.count(device) == 0) {
      CUcontext context = nullptr;
      if (!Ok(env, driver->call().cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain")) return;
      contexts[device] = context;
    }
    ok_ = Ok(env, driver->call().cuCtxPushCurrent(contexts[device]), "cuCtxPushCurrent");
  }
  ~On() {
    if (ok_) driver->call().cuCtxPopCurrent(&popped_);
  }
  bool ok() const { return ok_; }

 private:
  bool ok_ = false;
  CUcontext popped_ = nullptr;
};

Napi::Value Load(const Napi::CallbackInfo& info) {
  auto loaded = CudaDriver::Load(Text(info[0]));
  if (!loaded.ok()) {
    Throw(info.Env(), loaded.status().message());
    return info.Env().Undefined();
  }
  driver = std::move(*loaded).release();
  return info.Env().Undefined();
}

// (device, bytes)
Napi::Value Allocate(const Napi::CallbackInfo& info) {
  On on(info.Env(), info[0].As<Napi::Number>());
  CUdeviceptr pointer = 0;
  if (!on.ok() ||
      !Ok(info.Env(), driver->call().cuMemAlloc(&pointer, static_cast<size_t>(info[1].As<Napi::Number>().Int64Value())),
          "cuMemAlloc")) {
    return info.Env().Undefined();
  }
  return Napi::BigInt::New(info.Env(), static_cast<uint64_t>(pointer));
}

// (device, pointer)
Napi::Value Free(const Napi::CallbackInfo& info) {
  On on(info.Env(), info[0].As<Napi::Number>());
  if (on.ok()) Ok(info.Env(), driver->call().cuMemFree(Address(info[1])), "cuMemFree");
  return info.Env().Undefined();
}

// (bytes): pinned host memory's address.
Napi::Value AllocatePinned(const Napi::CallbackInfo& info) {
  On on(info.Env(), 0);
  void* memory = nullptr;
  if (on.ok()) Ok(info.Env(), driver->call().cuMemHostAlloc(&memory, info[0].As<Napi::Number>().Uint32Value(), 1), "cuMemHostAlloc");
  return Napi::BigInt::New(info.Env(), reinterpret_cast<uint64_t>(memory));
}

Napi::Value FreePinned(const Napi::CallbackInfo& info) {
  On on(info.Env(), 0);
  if (on.ok()) Ok(info.Env(), driver->call().cuMemFreeHost(reinterpret_cast<void*>(Address(info[0]))), "cuMemFreeHost");
  return info.Env().Undefined();
}

// (device, flags)
Napi::Value MakeStream(const Napi::CallbackInfo& info) {
  On on(info.Env(), info[0].As<Napi::Number>());
  CUstream stream = nullptr;
  if (on.ok()) Ok(info.Env(), driver->call().cuStreamCreate(&stream, info[1].As<Napi::Number>().Uint32Value()), "cuStreamCreate");
  return Napi::BigInt::New(info.Env(), reinterpret_cast<uint64_t>(stream));
}

Napi::Value EndStream(const Napi::CallbackInfo& info) {
  On on(info.Env(), info[0].As<Napi::Number>());
  const auto stream = reinterpret_cast<CUstream>(Address(info[1]));
  if (on.ok() && Ok(info.Env(), driver->call().cuStreamSynchronize(stream), "cuStreamSynchronize")) {
    Ok(info.Env(), driver->call().cuStreamDestroy(stream), "cuStreamDestroy");
  }
  return info.Env().Undefined();
}

// (device, stream, pointer, bytes, pinned): enqueues a write of `bytes` through the pinned memory; it happens later.
Napi::Value EnqueueWrite(const Napi::CallbackInfo& info) {
  On on(info.Env(), info[0].As<Napi::Number>());
  if (!on.ok()) return info.Env().Undefined();
  Napi::Uint8Array bytes = info[3].As<Napi::Uint8Array>();
  void* const pinned = reinterpret_cast<void*>(Address(info[4]));
  std::memcpy(pinned, bytes.Data(), bytes.ByteLength());
  Ok(info.Env(),
     driver->call().cuMemcpyHtoDAsync(Address(info[2]), pinned, bytes.ByteLength(),
                                      reinterpret_cast<CUstream>(Address(info[1]))),
     "cuMemcpyHtoDAsync");
  return info.Env().Undefined();
}

// (device, pointer, bytes): writes at once.
Napi::Value Write(const Napi::CallbackInfo& info) {
  On on(info.Env(), info[0].As<Napi::Number>());
  Napi::Uint8Array bytes = info[2].As<Napi::Uint8Array>();
  if (on.ok() && Ok(info.Env(), driver->call().cuMemcpyHtoDAsync(Address(info[1]), bytes.Data(), bytes.ByteLength(), nullptr), "cuMemcpyHtoDAsync")) {
    Ok(info.Env(), driver->call().cuStreamSynchronize(nullptr), "cuStreamSynchronize");
  }
  return info.Env().Undefined();
}

// (device, pointer, length)
Napi::Value Read(const Napi::CallbackInfo& info) {
  On on(info.Env(), info[0].As<Napi::Number>());
  Napi::Uint8Array bytes = Napi::Uint8Array::New(info.Env(), info[2].As<Napi::Number>().Uint32Value());
  if (on.ok() && Ok(info.Env(), driver->call().cuMemcpyDtoHAsync(bytes.Data(), Address(info[1]), bytes.ByteLength(), nullptr), "cuMemcpyDtoHAsync")) {
    Ok(info.Env(), driver->call().cuStreamSynchronize(nullptr), "cuStreamSynchronize");
  }
  return bytes;
}

// (device, bytes, rounds, toHost): seconds of each round of copying between device memory and pinned host memory, on two
// streams, in pieces of 64 MiB of which every one has pinned memory of its own. What the link gives at best.
Napi::Value TimeCopies(const Napi::CallbackInfo& info) {
  On on(info.Env(), info[0].As<Napi::Number>());
  if (!on.ok()) return info.Env().Undefined();
  const CudaFunctions& call = driver->call();
  const auto bytes = static_cast<size_t>(info[1].As<Napi::Number>().Int64Value());
  const bool to_host = info[3].ToBoolean();
  constexpr size_t kPiece = size_t{64} << 20;
  CUdeviceptr device = 0;
  void* host = nullptr;
  CUstream streams[2] = {};
  Napi::Array seconds = Napi::Array::New(info.Env());
  bool ok = Ok(info.Env(), call.cuMemAlloc(&device, bytes), "cuMemAlloc") &&
            Ok(info.Env(), call.cuMemHostAlloc(&host, bytes, 1), "cuMemHostAlloc") &&
            Ok(info.Env(), call.cuStreamCreate(&streams[0], 1), "cuStreamCreate") &&
            Ok(info.Env(), call.cuStreamCreate(&streams[1], 1), "cuStreamCreate");
  for (uint32_t round = 0; ok && round < info[2].As<Napi::Number>().Uint32Value(); ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (size_t at = 0; ok && at < bytes; at += kPiece) {
      const size_t count = std::min(kPiece, bytes - at);
      const CUstream stream = streams[at / kPiece % 2];
      uint8_t* const memory = static_cast<uint8_t*>(host) + at;
      ok = Ok(info.Env(),
              to_host ? call.cuMemcpyDtoHAsync(memory, device + at, count, stream)
                      : call.cuMemcpyHtoDAsync(device + at, memory, count, stream),
              "cuMemcpyAsync");
    }
    for (CUstream stream : streams) ok = ok && Ok(info.Env(), call.cuStreamSynchronize(stream), "cuStreamSynchronize");
    seconds.Set(round, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  for (CUstream stream : streams) {
    if (stream != nullptr) call.cuStreamDestroy(stream);
  }
  if (host != nullptr) call.cuMemFreeHost(host);
  if (device != 0) call.cuMemFree(device);
  return seconds;
}

struct Made {
  DLManagedTensor plain{};
  DLManagedTensorVersioned versioned{};
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
};

// ({ pointer, device, deviceType, code, bits, lanes, shape, strides, versioned, major, flags, byteOffset })
Napi::Value MakeDLPack(const Napi::CallbackInfo& info) {
  Napi::Object init = info[0].As<Napi::Object>();
  const auto number = [&init](const char* name, int64_t otherwise) {
    Napi::Value value = init.Get(name);
    return value.IsNumber() ? value.As<Napi::Number>().Int64Value() : otherwise;
  };
  auto* const made = new Made;
  for (auto [name, list] : {std::pair{"shape", &made->shape}, std::pair{"strides", &made->strides}}) {
    Napi::Value value = init.Get(name);
    for (uint32_t i = 0; value.IsArray() && i < value.As<Napi::Array>().Length(); ++i) {
      list->push_back(value.As<Napi::Array>().Get(i).As<Napi::Number>().Int64Value());
    }
  }
  DLTensor tensor{};
  tensor.data = reinterpret_cast<void*>(Address(init.Get("pointer")));
  tensor.device = {static_cast<int32_t>(number("deviceType", kDLCUDA)), static_cast<int32_t>(number("device", 0))};
  tensor.ndim = static_cast<int32_t>(number("ndim", static_cast<int64_t>(made->shape.size())));
  tensor.dtype = {static_cast<uint8_t>(number("code", 2)), static_cast<uint8_t>(number("bits", 32)),
                  static_cast<uint16_t>(number("lanes", 1))};
  tensor.shape = made->shape.data();
  tensor.strides = made->strides.empty() ? nullptr : made->strides.data();
  tensor.byte_offset = static_cast<uint64_t>(number("byteOffset", 0));
  if (init.Get("versioned").ToBoolean()) {
    made->versioned.version = {static_cast<uint32_t>(number("major", 1)), 0};
    made->versioned.manager_ctx = made;
    made->versioned.flags = static_cast<uint64_t>(number("flags", 0));
    made->versioned.dl_tensor = tensor;
    made->versioned.deleter = [](DLManagedTensorVersioned* self) {
      ++deleters_called;
      delete static_cast<Made*>(self->manager_ctx);
    };
    return Napi::External<void>::New(info.Env(), &made->versioned);
  }
  made->plain.dl_tensor = tensor;
  made->plain.manager_ctx = made;
  made->plain.deleter = [](DLManagedTensor* self) {
    ++deleters_called;
    delete static_cast<Made*>(self->manager_ctx);
  };
  return Napi::External<void>::New(info.Env(), &made->plain);
}

Napi::Value DeletersCalled(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), deleters_called); }

// (external, versioned): what it says.
Napi::Value ReadDLPack(const Napi::CallbackInfo& info) {
  void* const data = info[0].As<Napi::External<void>>().Data();
  const bool versioned = info[1].ToBoolean();
  const DLTensor& tensor = versioned ? static_cast<DLManagedTensorVersioned*>(data)->dl_tensor
                                     : static_cast<DLManagedTensor*>(data)->dl_tensor;
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("pointer", Napi::BigInt::New(info.Env(), reinterpret_cast<uint64_t>(tensor.data)));
  result.Set("deviceType", tensor.device.device_type);
  result.Set("device", tensor.device.device_id);
  result.Set("code", Napi::Number::New(info.Env(), tensor.dtype.code));
  result.Set("bits", Napi::Number::New(info.Env(), tensor.dtype.bits));
  Napi::Array shape = Napi::Array::New(info.Env());
  for (int32_t i = 0; i < tensor.ndim; ++i) shape.Set(static_cast<uint32_t>(i), static_cast<double>(tensor.shape[i]));
  result.Set("shape", shape);
  return result;
}

// (external, versioned): what a taker does in the end.
Napi::Value DeleteDLPack(const Napi::CallbackInfo& info) {
  void* const data = info[0].As<Napi::External<void>>().Data();
  if (info[1].ToBoolean()) {
    auto* const managed = static_cast<DLManagedTensorVersioned*>(data);
    managed->deleter(managed);
  } else {
    auto* const managed = static_cast<DLManagedTensor*>(data);
    managed->deleter(managed);
  }
  return info.Env().Undefined();
}

// The stand-in's control functions, from the library itself.
template <typename F>
F Control(const char* name) {
  static void* library = dlopen(driver->library().c_str(), RTLD_NOW);
  const F function = reinterpret_cast<F>(dlsym(library, name));
  if (function == nullptr) std::abort();
  return function;
}

// (function, nth, code, mode)
Napi::Value Fail(const Napi::CallbackInfo& info) {
  Control<void (*)(const char*, uint64_t, int, int)>("standin_cuda_fail")(
      Text(info[0]).c_str(), static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value()),
      info[2].As<Napi::Number>().Int32Value(), info[3].As<Napi::Number>().Int32Value());
  return info.Env().Undefined();
}

Napi::Value Reset(const Napi::CallbackInfo& info) {
  Control<void (*)()>("standin_cuda_reset")();
  return info.Env().Undefined();
}

Napi::Value LimitLocked(const Napi::CallbackInfo& info) {
  Control<void (*)(uint64_t)>("standin_cuda_limit_locked")(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
  return info.Env().Undefined();
}

Napi::Value SlowCopies(const Napi::CallbackInfo& info) {
  Control<void (*)(uint64_t, uint64_t)>("standin_cuda_slow_copies")(
      static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()),
      static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value()));
  return info.Env().Undefined();
}

Napi::Value CuFileMode(const Napi::CallbackInfo& info) {
  Control<void (*)(const char*, uint64_t)>("standin_cuda_cufile")(
      info[0].As<Napi::String>().Utf8Value().c_str(), static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value()));
  return info.Env().Undefined();
}

Napi::Value AbortOnViolation(const Napi::CallbackInfo& info) {
  Control<void (*)(int)>("standin_cuda_abort_on_violation")(info[0].ToBoolean() ? 1 : 0);
  return info.Env().Undefined();
}

Napi::Value TakeViolations(const Napi::CallbackInfo& info) {
  std::string text(65536, '\0');
  Control<size_t (*)(char*, size_t)>("standin_cuda_take_violations")(text.data(), text.size());
  return Napi::String::New(info.Env(), text.c_str());
}

Napi::Value Describe(const Napi::CallbackInfo& info) {
  std::string text(65536, '\0');
  Control<void (*)(char*, size_t)>("standin_cuda_describe")(text.data(), text.size());
  return Napi::String::New(info.Env(), text.c_str());
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
#define EXPORT(name, function) exports.Set(name, Napi::Function::New(env, function))
  EXPORT("load", Load);
  EXPORT("allocate", Allocate);
  EXPORT("free", Free);
  EXPORT("allocatePinned", AllocatePinned);
  EXPORT("freePinned", FreePinned);
  EXPORT("makeStream", MakeStream);
  EXPORT("endStream", EndStream);
  EXPORT("enqueueWrite", EnqueueWrite);
  EXPORT("write", Write);
  EXPORT("read", Read);
  EXPORT("timeCopies", TimeCopies);
  EXPORT("makeDLPack", MakeDLPack);
  EXPORT("readDLPack", ReadDLPack);
  EXPORT("deleteDLPack", DeleteDLPack);
  EXPORT("deletersCalled", DeletersCalled);
  EXPORT("fail", Fail);
  EXPORT("reset", Reset);
  EXPORT("limitLocked", LimitLocked);
  EXPORT("slowCopies", SlowCopies);
  EXPORT("cufile", CuFileMode);
  EXPORT("abortOnViolation", AbortOnViolation);
  EXPORT("takeViolations", TakeViolations);
  EXPORT("describe", Describe);
  return exports;
}

}  // namespace

NODE_API_MODULE(other_library, Init)
