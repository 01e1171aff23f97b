#include "binding/buffer_table.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace tensor_checkpoint {
namespace {

constexpr char kNoBuffer[] = "buffers must be ArrayBuffers or SharedArrayBuffers";

// Tells our objects from those that other addons have wrapped something in.
constexpr napi_type_tag kTag = {0x5b1d7a40c2e94f3eull, 0x9a64c1f08d3b7e25ull};

// The table that belongs to an object from takeBuffers(), nullptr for any other value.
BufferTable* TableOf(Napi::Value value) {
  bool ours = false;
  void* table = nullptr;
  if (!value.IsObject() || napi_check_object_type_tag(value.Env(), value, &kTag, &ours) != napi_ok || !ours ||
      napi_unwrap(value.Env(), value, &table) != napi_ok) {
    return nullptr;
  }
  return static_cast<BufferTable*>(table);
}

// An object with an empty table.
Napi::Value NewTable(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
  auto table = std::make_unique<BufferTable>();
  const napi_finalize destroy = [](napi_env, void* data, void*) { delete static_cast<BufferTable*>(data); };
  if (napi_wrap(env, object, table.get(), destroy, nullptr, nullptr) == napi_ok) {
    table.release();
    napi_type_tag_object(env, object, &kTag);
  }
  return object;
}

// A SharedArrayBuffer: Node-API 8 sees it only through a view.
bool SharedMemory(Napi::Env env, napi_value buffer, BufferTable::Memory& memory) {
  const Napi::Value value(env, buffer);
  if (value.IsEmpty() || !value.IsObject()) return false;
  Napi::Object view = env.Global().Get("Uint8Array").As<Napi::Function>().New({buffer});
  napi_typedarray_type type;
  napi_value behind = nullptr;
  void* data = nullptr;
  if (view.IsEmpty() || napi_get_typedarray_info(env, view, &type, &memory.size, &data, &behind, nullptr) != napi_ok) {
    return false;
  }
  // Of any other object, the view would be a copy that nobody keeps.
  if (!value.StrictEquals(Napi::Value(env, behind))) return false;
  memory.data = static_cast<uint8_t*>(data);
  return true;
}

}  // namespace

void BufferTable::Add(JsReader& reader, napi_value buffer) {
  Napi::Env env = reader.env();
  void* data = nullptr;
  Memory found;
  if (buffer != nullptr && napi_get_arraybuffer_info(env, buffer, &data, &found.size) == napi_ok) {
    found.data = static_cast<uint8_t*>(data);
    bool detached = false;
    if (found.size == 0) napi_is_detached_arraybuffer(env, buffer, &detached);
    if (detached) return reader.Fail("a buffer is detached");
  } else if (!SharedMemory(env, buffer, found)) {
    return reader.Fail(kNoBuffer);
  }
  memory.push_back(found);
  if (Allocations::Pin pin = Allocations::Find(found.data)) pins.push_back(std::move(pin));
}

BufferTable BuffersOf(JsReader& reader, Napi::Object program) {
  BufferTable table;
  if (Napi::Value value = reader.Get(program, "taken"); !value.IsUndefined()) {
    BufferTable* taken = TableOf(value);
    if (taken == nullptr) reader.Fail("taken is not what takeBuffers() gave");
    else table = std::exchange(*taken, {});
  }
  Napi::Array list = reader.List(program, "buffers");
  const uint32_t count = list.Length();
  constexpr uint32_t kScope = 256;
  for (uint32_t first = 0; reader.ok() && first < count; first += kScope) {
    Napi::HandleScope scope(reader.env());
    const uint32_t end = std::min(first + kScope, count);
    for (uint32_t i = first; reader.ok() && i < end; ++i) table.Add(reader, list.Get(i));
  }
  return table;
}

Napi::Value TakeBuffers(const Napi::CallbackInfo& info) {
  JsReader reader(info.Env());
  Napi::Value object = info.Length() > 0 && !info[0].IsUndefined() ? info[0] : NewTable(info.Env());
  BufferTable* table = TableOf(object);
  if (table == nullptr) reader.Fail("taken is not what takeBuffers() gave");
  // As arguments: each element of an array would be a call of its own.
  for (size_t i = 1; reader.ok() && i < info.Length(); ++i) table->Add(reader, info[i]);
  return object;
}

}  // namespace tensor_checkpoint
