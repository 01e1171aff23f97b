#include "abi.h"
#include "call.h"
#include "stream.h"

// Events: moments in streams.
using namespace standin;

namespace {

constexpr char kNoEvent[] = "no event that is alive";

}  // namespace

STANDIN_CUDA_EXPORT Result cuEventCreate(Event** handle, unsigned flags) {
  Call call("cuEventCreate", Call::Needs::kContext);
  if (call.refused() != kSuccess) return call.refused();
  if (handle == nullptr || flags > 7) return kInvalidValue;
  *handle = new Event{call.context(), {}};
  call.state().events.insert(*handle);
  return kSuccess;
}

STANDIN_CUDA_EXPORT Result cuEventDestroy_v2(Event* event) {
  Call call("cuEventDestroy_v2", Call::Needs::kDriver);
  if (call.keeps()) return call.refused();
  if (call.state().events.erase(event) == 0) return call.Violation(kNoEvent, kInvalidHandle);
  delete event;
  return call.refused();
}

STANDIN_CUDA_EXPORT Result cuEventRecord(Event* event, Stream* handle) {
  Call call("cuEventRecord", Call::Needs::kContext);
  if (call.refused() != kSuccess) return call.refused();
  if (call.state().events.count(event) == 0) return call.Violation(kNoEvent, kInvalidHandle);
  const auto stream = StreamOf(call.state(), handle, call.context());
  if (stream == nullptr || event->context != call.context()) {
    return call.Violation("stream, event and current context don't belong together", kInvalidHandle);
  }
  Operation operation;
  operation.fails = call.later();
  // An operation of its own: the legacy default stream's moments are behind the other streams' work.
  event->moment = stream->Submit(call.state(), std::move(operation));
  return kSuccess;
}

STANDIN_CUDA_EXPORT Result cuEventQuery(Event* event) {
  Call call("cuEventQuery", Call::Needs::kDriver);
  if (call.refused() != kSuccess) return call.refused();
  if (call.state().events.count(event) == 0) return call.Violation(kNoEvent, kInvalidHandle);
  if (event->context->error != kSuccess) return event->context->error;
  return event->moment.Reached() ? kSuccess : kNotReady;
}

STANDIN_CUDA_EXPORT Result cuEventSynchronize(Event* event) {
  Call call("cuEventSynchronize", Call::Needs::kDriver);
  if (call.refused() != kSuccess) return call.refused();
  if (call.state().events.count(event) == 0) return call.Violation(kNoEvent, kInvalidHandle);
  const Moment moment = event->moment;
  const Context& context = *event->context;
  return Await(call.lock(), call.state(), moment, context);
}

STANDIN_CUDA_EXPORT Result cuStreamWaitEvent(Stream* handle, Event* event, unsigned flags) {
  Call call("cuStreamWaitEvent", Call::Needs::kContext);
  if (call.refused() != kSuccess) return call.refused();
  if (flags != 0) return kInvalidValue;
  if (call.state().events.count(event) == 0) return call.Violation(kNoEvent, kInvalidHandle);
  const auto stream = StreamOf(call.state(), handle, call.context());
  if (stream == nullptr) return call.Violation("no stream of the current context that is alive", kInvalidHandle);
  Operation operation;
  operation.fails = call.later();
  operation.after = {event->moment};
  stream->Submit(call.state(), std::move(operation));
  return kSuccess;
}
