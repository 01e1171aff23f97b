#include "binding/events_to_js.h"

#include <utility>

#include "binding/arrays_to_js.h"

namespace tensor_checkpoint {
namespace {

const char* TypeName(Event::Type type) {
  switch (type) {
    case Event::Type::kCaptured:
      return "captured";
    case Event::Type::kIndexed:
      return "indexed";
    case Event::Type::kCommitted:
      return "committed";
    case Event::Type::kProgress:
      return "progress";
    case Event::Type::kWarning:
      return "warning";
    case Event::Type::kFinished:
      return "finished";
    case Event::Type::kFailed:
      return "failed";
  }
  return "";
}

void SetNumber(Napi::Object object, const char* name, double value) {
  object.Set(name, Napi::Number::New(object.Env(), value));
}

Napi::Object ProgressToJs(Napi::Env env, const Progress& progress) {
  Napi::Object object = Napi::Object::New(env);
  SetNumber(object, "bytesDone", static_cast<double>(progress.bytes_done));
  SetNumber(object, "bytesTotal", static_cast<double>(progress.bytes_total));
  SetNumber(object, "tensorsDone", progress.tensors_done);
  SetNumber(object, "tensorsTotal", progress.tensors_total);
  return object;
}

Napi::Object DamageToJs(Napi::Env env, const Damage& damage) {
  Napi::Object object = Napi::Object::New(env);
  SetNumber(object, "tensor", damage.tensor);
  object.Set("kind", damage.kind);
  object.Set("error", ErrorToJs(env, {damage.status, damage.tensor}));
  if (damage.has_found) SetNumber(object, "found", damage.found);
  return object;
}

Napi::Array DamageListToJs(Napi::Env env, const std::vector<Damage>& list) {
  Napi::Array array = Napi::Array::New(env, list.size());
  for (uint32_t i = 0; i < list.size(); ++i) array.Set(i, DamageToJs(env, list[i]));
  return array;
}

Napi::Object SharedFields(Napi::Env env, const Event& event) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("type", TypeName(event.type));
  if (event.type == Event::Type::kProgress) object.Set("progress", ProgressToJs(env, event.progress));
  if (event.type == Event::Type::kFailed) object.Set("error", ErrorToJs(env, event.failure));
  if (event.type == Event::Type::kWarning) {
    Napi::Object warning = ErrorToJs(env, event.failure);
    warning.Delete("code");
    warning.Set("kind", event.warning);
    object.Set("warning", warning);
  }
  return object;
}

}  // namespace

Napi::Object ErrorToJs(Napi::Env env, const Failure& failure) {
  const Status& status = failure.status;
  Napi::Object object = Napi::Object::New(env);
  object.Set("code", std::string(CodeName(status.code())));
  object.Set("message", status.message());
  if (std::string name = status.error_name(); !name.empty()) object.Set("errno", name);
  if (!status.syscall().empty()) object.Set("syscall", std::string(status.syscall()));
  if (!status.path().empty()) object.Set("path", status.path());
  if (status.offset() != Status::kNoOffset) SetNumber(object, "offset", static_cast<double>(status.offset()));
  if (failure.tensor != kNoTensor) SetNumber(object, "tensor", failure.tensor);
  return object;
}

Napi::Object FailureToJs(Napi::Env env, Status status) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("error", ErrorToJs(env, {std::move(status)}));
  return object;
}

Napi::Object SaveEventToJs(Napi::Env env, const Event& event) {
  Napi::Object object = SharedFields(env, event);
  switch (event.type) {
    case Event::Type::kCaptured:
    case Event::Type::kIndexed:
    case Event::Type::kCommitted:
      SetNumber(object, "seconds", event.seconds);
      break;
    case Event::Type::kFinished: {
      Napi::Object stats = Napi::Object::New(env);
      SetNumber(stats, "bytesWritten", static_cast<double>(event.stats.bytes));
      SetNumber(stats, "bytesCopied", static_cast<double>(event.stats.bytes_copied));
      SetNumber(stats, "directBytes", static_cast<double>(event.stats.direct_bytes));
      SetNumber(stats, "gpuDirectBytes", static_cast<double>(event.stats.gpu_direct_bytes));
      SetNumber(stats, "syncs", static_cast<double>(event.stats.syncs));
      SetNumber(stats, "seconds", event.stats.seconds);
      SetNumber(stats, "capturedSeconds", event.stats.captured_seconds);
      SetNumber(stats, "writeSeconds", event.stats.write_seconds);
      SetNumber(stats, "syncSeconds", event.stats.sync_seconds);
      object.Set("stats", stats);
      break;
    }
    case Event::Type::kFailed:
      object.Set("published", Napi::Boolean::New(env, event.published));
      object.Set("undone", Napi::Boolean::New(env, event.undone));
      break;
    case Event::Type::kProgress:
    case Event::Type::kWarning:
      break;
  }
  return object;
}

Napi::Object LoadEventToJs(Napi::Env env, const Event& event) {
  Napi::Object object = SharedFields(env, event);
  if (event.type == Event::Type::kFinished) {
    Napi::Object stats = Napi::Object::New(env);
    SetNumber(stats, "bytesRead", static_cast<double>(event.stats.bytes));
    SetNumber(stats, "bytesCopied", static_cast<double>(event.stats.bytes_copied));
    SetNumber(stats, "directBytes", static_cast<double>(event.stats.direct_bytes));
    SetNumber(stats, "gpuDirectBytes", static_cast<double>(event.stats.gpu_direct_bytes));
    SetNumber(stats, "seconds", event.stats.seconds);
    object.Set("stats", stats);
    object.Set("damage", DamageListToJs(env, event.damage));
  } else if (event.type == Event::Type::kFailed) {
    if (!event.damage.empty()) object.Set("damage", DamageToJs(env, event.damage.front()));
    object.Set("touched", ColumnToJs(env, event.touched));
  }
  return object;
}

}  // namespace tensor_checkpoint
