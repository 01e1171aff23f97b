#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "binding/array_buffers.h"
#include "binding/arrays_to_js.h"
#include "binding/buffer_table.h"
#include "binding/cuda.h"
#include "binding/decoders.h"
#include "binding/device_memory.h"
#include "binding/encoders.h"
#include "binding/environment.h"
#include "binding/events_to_js.h"
#include "binding/node_api.h"
#include "binding/programs_from_js.h"
#include "binding/tensorflow.h"
#include "binding/wrong_arguments.h"
#include "checksum/crc32c.h"
#include "io/make_directories.h"
#include "io/posix_file_system.h"
#include "io/read_file.h"

// The functions of `NativeAddon` in src/native/contract.ts. Arguments were validated in TypeScript; what is checked
// here keeps memory safe, no more.
namespace tensor_checkpoint {
namespace {

constexpr char kVersion[] = "0.1.0";

template <typename Program, bool (*FromJs)(Napi::Value, Submission<Program>&)>
Napi::Value Start(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[0].IsObject() || !info[1].IsFunction()) return WrongArguments(env);
  Submission<Program> submission;
  if (!FromJs(info[0], submission)) return env.Undefined();
  // The program holds all that must stay alive: columns, buffers, owners.
  return Napi::Number::New(env, Environment::Of(env).Start(std::move(submission), info[1].As<Napi::Function>(),
                                                         info[0].As<Napi::Object>()));
}

void Abort(const Napi::CallbackInfo& info) {
  if (info.Length() > 0 && info[0].IsNumber()) {
    Environment::Of(info.Env()).Abort(info[0].As<Napi::Number>().Uint32Value());
  }
}

Napi::Value Checksum(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsTypedArray()) return WrongArguments(env);
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, info[0], &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array) {
    return WrongArguments(env);
  }
  const uint32_t initial = info.Length() > 1 && info[1].IsNumber() ? info[1].As<Napi::Number>().Uint32Value() : 0;
  return Napi::Number::New(env, Crc32c(initial, data, length));
}

// Delivers `result` as done(error, value).
template <typename T, typename ToJs>
Environment::Deliver DeliverResult(Result<T> result, ToJs to_js) {
  auto shared = std::make_shared<Result<T>>(std::move(result));
  return [shared, to_js](Napi::Env env, const Napi::Function& done) {
    if (shared->ok()) {
      done.Call({env.Null(), to_js(env, **shared)});
    } else {
      done.Call({ErrorToJs(env, {shared->status()})});
    }
  };
}

Napi::Value NamesToJs(Napi::Env env, const std::vector<std::string>& names) {
  Napi::Array array = Napi::Array::New(env, names.size());
  for (uint32_t i = 0; i < names.size(); ++i) array.Set(i, names[i]);
  return array;
}

void ReadFile(const Napi::CallbackInfo& info) {
  if (info.Length() < 3 || !info[0].IsString() || !info[1].IsNumber() || !info[2].IsFunction()) {
    WrongArguments(info.Env());
    return;
  }
  Environment& environment = Environment::Of(info.Env());
  // The whole read happens on the thread that runs the task.
  const double limit = std::clamp(info[1].As<Napi::Number>().DoubleValue(), 0.0, 9007199254740991.0);
  environment.RunTask(info[2].As<Napi::Function>(), [path = info[0].As<Napi::String>().Utf8Value(), limit] {
    PosixFileSystem fs(nullptr);
    return DeliverResult(ReadWholeFile(fs, path, static_cast<uint64_t>(limit)),
                         [](Napi::Env env, std::vector<uint8_t>& bytes) -> Napi::Value {
                           auto owner = std::make_unique<std::vector<uint8_t>>(std::move(bytes));
                           const auto& [data, size] = std::pair(owner->data(), owner->size());
                           return BufferToJs(env, std::move(owner), data, size);
                         });
  });
}

void Stat(const Napi::CallbackInfo& info) {
  if (info.Length() < 2 || !info[0].IsString() || !info[1].IsFunction()) {
    WrongArguments(info.Env());
    return;
  }
  Environment& environment = Environment::Of(info.Env());
  environment.RunTask(info[1].As<Napi::Function>(),
                      [&fs = environment.engine().fs(), path = info[0].As<Napi::String>().Utf8Value()] {
                        return DeliverResult(fs.Stat(path), [](Napi::Env env, const FileInfo& file) -> Napi::Value {
                          Napi::Object object = Napi::Object::New(env);
                          object.Set("size", Napi::Number::New(env, static_cast<double>(file.size)));
                          object.Set("mtimeMs", Napi::Number::New(env, file.mtime_ms));
                          object.Set("isDirectory", Napi::Boolean::New(env, file.is_directory));
                          return object;
                        });
                      });
}

void ReadDirectory(const Napi::CallbackInfo& info) {
  if (info.Length() < 2 || !info[0].IsString() || !info[1].IsFunction()) {
    WrongArguments(info.Env());
    return;
  }
  Environment& environment = Environment::Of(info.Env());
  environment.RunTask(info[1].As<Napi::Function>(),
                      [&fs = environment.engine().fs(), path = info[0].As<Napi::String>().Utf8Value()] {
                        return DeliverResult(fs.ReadDirectory(path), NamesToJs);
                      });
}

Napi::Value ReadDirectorySync(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsString()) return WrongArguments(info.Env());
  auto names = Environment::Of(info.Env()).engine().fs().ReadDirectory(info[0].As<Napi::String>().Utf8Value());
  return names.ok() ? NamesToJs(info.Env(), *names) : FailureToJs(info.Env(), names.status());
}

Napi::Value MakeDirectoriesSync(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsString()) return WrongArguments(info.Env());
  auto made = MakeDirectories(Environment::Of(info.Env()).engine().fs(), info[0].As<Napi::String>().Utf8Value());
  return made.ok() ? NamesToJs(info.Env(), *made) : FailureToJs(info.Env(), made.status());
}

Napi::Value LockDirectorySync(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsString()) return WrongArguments(env);
  auto lock = Environment::Of(env).engine().fs().LockDirectory(info[0].As<Napi::String>().Utf8Value());
  if (!lock.ok()) return FailureToJs(env, lock.status());
  // Held by the function object: released by the call, or when that is collected.
  auto held = std::make_shared<std::unique_ptr<DirectoryLock>>(std::move(*lock));
  Napi::Object object = Napi::Object::New(env);
  object.Set("release", Napi::Function::New(env, [held](const Napi::CallbackInfo&) { held->reset(); }));
  return object;
}

Napi::Value Info(const Napi::CallbackInfo& info) {
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("checksum", ActiveCrc32c().name);
  object.Set("threads", Napi::Number::New(info.Env(), Environment::Of(info.Env()).engine().threads()));
  object.Set("io", Environment::Of(info.Env()).engine().io());
  object.Set("version", kVersion);
  int64_t counted = 0;
  napi_adjust_external_memory(info.Env(), 0, &counted);
  object.Set("countedBytes", Napi::Number::New(info.Env(), static_cast<double>(counted)));
  return object;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment(env));
  exports.Set("startSave", Napi::Function::New<Start<SaveProgram, SaveProgramFromJs>>(env));
  exports.Set("startLoad", Napi::Function::New<Start<LoadProgram, LoadProgramFromJs>>(env));
  exports.Set("takeBuffers", Napi::Function::New<TakeBuffers>(env));
  exports.Set("abort", Napi::Function::New<Abort>(env));
  exports.Set("allocate", Napi::Function::New<Allocate>(env));
  exports.Set("free", Napi::Function::New<Free>(env));
  exports.Set("crc32c", Napi::Function::New<Checksum>(env));
  exports.Set("readFile", Napi::Function::New<ReadFile>(env));
  exports.Set("stat", Napi::Function::New<Stat>(env));
  exports.Set("readDirectory", Napi::Function::New<ReadDirectory>(env));
  exports.Set("readDirectorySync", Napi::Function::New<ReadDirectorySync>(env));
  exports.Set("makeDirectoriesSync", Napi::Function::New<MakeDirectoriesSync>(env));
  exports.Set("lockDirectorySync", Napi::Function::New<LockDirectorySync>(env));
  ExportTextEncoders(env, exports);
  ExportEncoders(env, exports);
  ExportDecoders(env, exports);
  ExportTensorFlow(env, exports);
  exports.Set("info", Napi::Function::New<Info>(env));
  ExportCuda(env, exports);
  ExportDLPack(env, exports);
  AddDeviceMemory(env, exports);
  return exports;
}

}  // namespace
}  // namespace tensor_checkpoint

static Napi::Object InitAddon(Napi::Env env, Napi::Object exports) { return tensor_checkpoint::Init(env, exports); }
NODE_API_MODULE(tensor_checkpoint, InitAddon)
