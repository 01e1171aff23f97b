#include "abi.h"
#include "call.h"
#include "stream.h"

// Streams and their host functions.
using namespace standin;

namespace {

constexpr char kNoStream[] = "no stream that is alive";

// Of any context, for the calls that need none to be current.
std::shared_ptr<Stream> AnyStream(Call& call, Stream* handle) {
  if (call.state().streams.count(handle) > 0) return handle->shared_from_this();
  if (reinterpret_cast<uintptr_t>(handle) > 2 || ContextStack().empty()) return nullptr;
  return StreamOf(call.state(), handle, ContextStack().back());
}

}  // namespace

STANDIN_CUDA_EXPORT Result cuStreamCreate(Stream** handle, unsigned flags) {
  Call call("cuStreamCreate", Call::Needs::kContext);
  if (call.refused() != kSuccess) return call.refused();
  if (handle == nullptr || flags > kStreamNonBlocking) return kInvalidValue;
  // Kept alive by itself until cuStreamDestroy.
  auto* const own = new std::shared_ptr<Stream>(std::make_shared<Stream>(call.context(), flags));
  call.state().streams.insert(own->get());
  (*own)->owner = own;
  *handle = own->get();
  return kSuccess;
}

STANDIN_CUDA_EXPORT Result cuStreamDestroy_v2(Stream* handle) {
  Call call("cuStreamDestroy_v2", Call::Needs::kDriver);
  if (call.keeps()) return call.refused();
  State& state = call.state();
  if (state.streams.erase(handle) == 0) return call.Violation(kNoStream, kInvalidHandle);
  // What is in its queue is still done.
  handle->destroyed = true;
  state.changed.notify_all();
  delete handle->owner;
  return call.refused();
}

STANDIN_CUDA_EXPORT Result cuStreamSynchronize(Stream* handle) {
  Call call("cuStreamSynchronize", Call::Needs::kDriver);
  // Of a device that is lost the driver says so once nothing of it touches the host's memory any more.
  if (call.keeps()) return call.refused();
  const auto stream = AnyStream(call, handle);
  if (stream == nullptr) return call.Violation(kNoStream, kInvalidHandle);
  const Result result = Await(call.lock(), call.state(), {stream, stream->submitted}, *stream->context);
  return call.refused() != kSuccess ? call.refused() : result;
}

STANDIN_CUDA_EXPORT Result cuStreamQuery(Stream* handle) {
  Call call("cuStreamQuery", Call::Needs::kDriver);
  if (call.refused() != kSuccess) return call.refused();
  const auto stream = AnyStream(call, handle);
  if (stream == nullptr) return call.Violation(kNoStream, kInvalidHandle);
  if (stream->context->error != kSuccess) return stream->context->error;
  return stream->completed >= stream->submitted ? kSuccess : kNotReady;
}

// CUDA 10 brought it.
#ifndef STANDIN_CUDA_OLD
STANDIN_CUDA_EXPORT Result cuLaunchHostFunc(Stream* handle, HostFunction function, void* user_data) {
  Call call("cuLaunchHostFunc", Call::Needs::kContext);
  if (call.refused() != kSuccess) return call.refused();
  if (function == nullptr) return kInvalidValue;
  const auto stream = StreamOf(call.state(), handle, call.context());
  if (stream == nullptr) return call.Violation("no stream of the current context that is alive", kInvalidHandle);
  Operation operation;
  operation.fails = call.later();
  operation.run = [function, user_data] { RunHostFunction(function, user_data); };
  stream->Submit(call.state(), std::move(operation));
  return kSuccess;
}
#endif
