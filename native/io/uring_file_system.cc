#include "io/uring_file_system.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <future>
#include <utility>

#include "base/thread.h"
#include "io/uring.h"

namespace tensor_checkpoint {
namespace {

constexpr uint32_t kEntries = 256;
constexpr uint64_t kWakeTag = 0;  // All others are addresses.
constexpr size_t kLargestTransfer = size_t{1} << 30;

}  // namespace

std::unique_ptr<UringFileSystem> UringFileSystem::Create(Executor* executor) {
  std::unique_ptr<UringFileSystem> made(new UringFileSystem(executor));
  return made->Start() ? std::move(made) : nullptr;
}

bool UringFileSystem::Start() {
  wake_fd_ = eventfd(0, EFD_CLOEXEC);
  if (wake_fd_ < 0) return false;
  // The ring belongs to the thread that uses it, so that thread makes it.
  std::promise<bool> made;
  std::future<bool> usable = made.get_future();
  thread_ = StartThread("tensor-ckpt-io", [this, made = std::move(made)]() mutable {
    const std::unique_ptr<Uring> ring = Uring::Create(kEntries);
    made.set_value(ring != nullptr);
    if (ring != nullptr) Work(*ring);
  });
  return usable.get();
}

UringFileSystem::~UringFileSystem() {
  if (thread_.joinable()) {
    {
      std::lock_guard lock(mutex_);
      ending_ = true;
    }
    eventfd_write(wake_fd_, 1);
    thread_.join();
  }
  if (wake_fd_ >= 0) close(wake_fd_);
}

void UringFileSystem::Submit(const IoRequest& request, IoDone done) {
  if (!request.direct || request.kind == IoRequest::Kind::kSync) return PosixFileSystem::Submit(request, std::move(done));
  std::unique_ptr<Pending> pending(new Pending{request, std::move(done)});
  bool wake;
  {
    std::lock_guard lock(mutex_);
    // What was there already has woken the thread; what the thread itself brings it looks for before it waits.
    wake = arrived_.empty() && std::this_thread::get_id() != thread_.get_id();
    arrived_.push_back(std::move(pending));
  }
  if (wake) eventfd_write(wake_fd_, 1);
}

void UringFileSystem::Work(Uring& ring) {
  for (;;) {
    if (!wake_armed_) wake_armed_ = ring.PrepareRead(wake_fd_, &wakes_, sizeof(wakes_), 0, kWakeTag);
    PrepareAll(ring);
    const int error = ring.Enter(next_ == taken_.size());
    Uring::Completion completion;
    bool any = false;
    while (ring.Reap(&completion)) {
      any = true;
      if (completion.tag == kWakeTag) wake_armed_ = false;
      else Complete(completion.tag, completion.result);
    }
    // The kernel takes no more for now, and nothing that ends would change that: it is short of memory.
    if (error != 0 && error != EINTR && !any) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::lock_guard lock(mutex_);
    // The read of the eventfd ends with the ring.
    if (ending_ && arrived_.empty() && next_ == taken_.size() && under_way_ == 0) return;
  }
}

void UringFileSystem::PrepareAll(Uring& ring) {
  if (next_ == taken_.size()) {
    taken_.clear();
    next_ = 0;
    std::lock_guard lock(mutex_);
    taken_.swap(arrived_);
  }
  for (; next_ < taken_.size(); ++next_) {
    Pending* const pending = taken_[next_].get();
    const IoRequest& r = pending->request;
    const auto bytes = static_cast<uint32_t>(std::min(r.bytes, kLargestTransfer));
    const int fd = FdOf(*r.file, true);
    const auto tag = reinterpret_cast<uint64_t>(pending);
    const bool prepared = r.kind == IoRequest::Kind::kRead ? ring.PrepareRead(fd, r.data, bytes, r.offset, tag)
                                                           : ring.PrepareWrite(fd, r.data, bytes, r.offset, tag);
    if (!prepared) return;
    taken_[next_].release();  // Complete() has it from here on.
    ++under_way_;
  }
}

void UringFileSystem::Complete(uint64_t tag, int32_t result) {
  const std::unique_ptr<Pending> pending(reinterpret_cast<Pending*>(tag));
  --under_way_;
  const IoRequest& r = pending->request;
  if (result >= 0) return pending->done({Status::Ok(), static_cast<size_t>(result)});
  // The kernel would have to wait where it must not: a blocking call can.
  if (result == -EAGAIN) return PosixFileSystem::Submit(r, std::move(pending->done));
  const char* const call = r.kind == IoRequest::Kind::kRead ? "pread" : "pwrite";
  pending->done({Status::FromErrno(-result, call, r.file->path(), static_cast<int64_t>(r.offset)), 0});
}

}  // namespace tensor_checkpoint
