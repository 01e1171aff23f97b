#include "device/copy_queue.h"

#include <utility>

#include "base/thread.h"

namespace tensor_checkpoint {

Result<std::unique_ptr<CopyQueue>> CopyQueue::Create(std::shared_ptr<const CudaContext> context) {
  std::unique_ptr<CopyQueue> queue(new CopyQueue(std::move(context)));
  {
    const CudaContext& c = *queue->context_;
    CurrentContext current(c);
    if (!current.status().ok()) return current.status();
    for (CUstream& stream : queue->streams_) {
      // Non-blocking: not ordered against the legacy default stream, on which others may be at work.
      Status status = c.Check(c.call().cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
      if (!status.ok()) return status;
    }
    while (queue->idle_events_.size() < kInFlight) {
      CUevent event = nullptr;
      // A thread that waits for it sleeps.
      Status status = c.Check(c.call().cuEventCreate(&event, CU_EVENT_DISABLE_TIMING | CU_EVENT_BLOCKING_SYNC), "cuEventCreate");
      if (!status.ok()) return status;
      queue->idle_events_.push_back(event);
    }
  }
  queue->thread_ = StartThread("tensor-ckpt-gpu", [q = queue.get()] { q->Work(); });
  return queue;
}

CopyQueue::~CopyQueue() {
  if (thread_.joinable()) {
    {
      std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  ReleaseIn(*context_, [this](const CudaFunctions& call) {
    for (CUevent event : idle_events_) (void)call.cuEventDestroy(event);
    for (CUstream stream : streams_) {
      if (stream != nullptr) (void)call.cuStreamDestroy(stream);
    }
  });
}

void CopyQueue::Submit(Enqueue enqueue, Done done) {
  {
    std::lock_guard lock(mutex_);
    submitted_.push_back({std::move(enqueue), std::move(done)});
    // Under the lock: once the work is done its owner may destroy the queue, on another thread.
    wake_.notify_one();
  }
}

void CopyQueue::Work() {
  std::deque<Batch> taken;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (in_flight_.empty()) wake_.wait(lock, [this] { return !submitted_.empty() || ending_; });
      if (submitted_.empty() && in_flight_.empty()) return;
      while (!submitted_.empty() && in_flight_.size() + taken.size() < kInFlight) {
        taken.push_back(std::move(submitted_.front()));
        submitted_.pop_front();
      }
    }
    // Made current anew each time: a failure to do so belongs to the work it was for, not to all that comes after.
    CurrentContext current(*context_);
    for (Batch& batch : taken) {
      batch.status = current.status();
      Start(batch);
      in_flight_.push_back(std::move(batch));
    }
    taken.clear();
    if (in_flight_.empty()) continue;
    Batch oldest = std::move(in_flight_.front());
    in_flight_.pop_front();
    Finish(oldest);
  }
}

void CopyQueue::Start(Batch& batch) {
  if (!batch.status.ok()) return;
  batch.event = idle_events_.back();
  idle_events_.pop_back();
  batch.stream = streams_[next_stream_++ % kStreams];
  batch.status = batch.enqueue(batch.stream);
  if (!batch.status.ok()) return;
  batch.status = context_->Check(context_->call().cuEventRecord(batch.event, batch.stream), "cuEventRecord");
}

void CopyQueue::Finish(Batch& batch) {
  const CudaFunctions& call = context_->call();
  if (batch.status.ok()) batch.status = context_->Check(call.cuEventSynchronize(batch.event), "cuEventSynchronize");
  // What was enqueued before something failed may still be at work, on memory that is given back next.
  if (!batch.status.ok() && batch.stream != nullptr) (void)call.cuStreamSynchronize(batch.stream);
  if (batch.event != nullptr) idle_events_.push_back(batch.event);
  // What they hold goes with this batch, not with the next one in its place.
  batch.enqueue = nullptr;
  std::exchange(batch.done, nullptr)(std::move(batch.status));
}

}  // namespace tensor_checkpoint
