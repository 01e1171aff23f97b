#include "device/pinned_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "base/aligned_buffer.h"

namespace tensor_checkpoint {
namespace {

// Locked in one call each: large enough for the driver to be quick about it, small enough that several threads share.
constexpr uint64_t kSlab = uint64_t{256} << 20;

uint64_t RoundUp(uint64_t bytes) {
  constexpr uint64_t kUnit = AlignedBuffer::kHugePage;
  return (bytes + kUnit - 1) / kUnit * kUnit;
}

std::string Bytes(uint64_t bytes) { return std::to_string(bytes) + " bytes"; }

}  // namespace

// Memory that was locked in one call, or could not be; freed with the last buffer of it.
struct PinnedPool::Region {
  explicit Region(std::shared_ptr<const CudaContext> locked_in) : context(std::move(locked_in)) {}
  ~Region() {
    if (!locked) return;
    ReleaseIn(*context, [this](const CudaFunctions& call) { (void)call.cuMemHostUnregister(memory.data()); });
  }

  // The memory stays also where it can't be locked. A multiple of 2 MiB: a mapping of its own.
  Status Lock(uint64_t bytes) {
    memory = AlignedBuffer::Allocate(bytes);
    if (memory.empty()) return Status(Code::kOutOfRange, "there is no memory for " + Bytes(bytes) + " of locked memory");
    // A page that a fork shares is copied when it is written to next, and the device goes on with the old one.
#ifdef MADV_DONTFORK
    (void)madvise(memory.data(), bytes, MADV_DONTFORK);
#endif
    // Locking would touch the pages too, but by one thread, and under the driver's own lock.
    volatile uint8_t* const data = memory.data();
    for (uint64_t at = 0; at < bytes; at += AlignedBuffer::kPage) data[at] = 0;
    CurrentContext current(*context);
    if (!current.status().ok()) return current.status();
    Status status = context->Check(context->call().cuMemHostRegister(memory.data(), bytes, CU_MEMHOSTREGISTER_PORTABLE),
                                   "cuMemHostRegister", Bytes(bytes));
    locked = status.ok();
    return status;
  }

  const std::shared_ptr<const CudaContext> context;
  AlignedBuffer memory;
  bool locked = false;
  bool is_reserve = false;
};

void PinnedPool::Buffer::Return() {
  if (pool_ != nullptr) pool_->Give(std::move(region_), data_, size_);
  pool_ = nullptr;
  data_ = nullptr;
}

PinnedPool::~PinnedPool() { Trim(); }

Result<PinnedPool::Buffer> PinnedPool::Take(const std::shared_ptr<const CudaContext>& context, size_t bytes, bool lock_more) {
  Buffer buffer;
  {
    std::lock_guard lock(mutex_);
    if (const auto found = idle_.lower_bound(bytes); found != idle_.end()) {
      buffer.pool_ = this;
      buffer.size_ = found->first;
      buffer.region_ = std::move(found->second.region);
      buffer.data_ = found->second.data;
      idle_.erase(found);
      return buffer;
    }
  }
  if (!lock_more) return buffer;
  auto region = std::make_shared<Region>(context);
  Status status = region->Lock(std::max(RoundUp(bytes), AlignedBuffer::kHugePage));
  if (!status.ok()) return status;
  const size_t slot = bytes <= AlignedBuffer::kHugePage / 2 ? std::bit_ceil(std::max(bytes, AlignedBuffer::kPage)) : region->memory.size();
  buffer.pool_ = this;
  buffer.data_ = region->memory.data();
  buffer.size_ = slot;
  buffer.region_ = region;
  std::lock_guard lock(mutex_);
  for (size_t at = slot; at + slot <= region->memory.size(); at += slot) {
    idle_.emplace(slot, Idle{region, region->memory.data() + at});
  }
  return buffer;
}

void PinnedPool::Give(std::shared_ptr<Region> region, uint8_t* data, size_t size) {
  std::lock_guard lock(mutex_);
  if (region->context->distrusted()) {
    if (region->is_reserve) reserved_ -= size;
    return;
  }
  // Before its likes: what was used last is used next, while it is still in the caches.
  idle_.emplace_hint(idle_.lower_bound(size), size, Idle{std::move(region), data});
}

// Slabs that are made by whoever has time: the thread that asked for them, and the executor's. Late ones find nothing.
struct PinnedPool::Reservation {
  std::shared_ptr<const CudaContext> context;
  uint64_t bytes = 0;
  uint64_t slab = 0;
  size_t count = 0;  // Of slabs.
  std::vector<std::shared_ptr<Region>> regions;
  std::vector<Status> statuses;
  std::atomic<size_t> next = 0;
  std::counting_semaphore<> made{0};

  void Work() {
    for (size_t i = next++; i < count; i = next++) {
      statuses[i] = regions[i]->Lock(std::min(slab, bytes - i * slab));
      made.release();
    }
  }
};

Status PinnedPool::Reserve(const std::shared_ptr<const CudaContext>& context, uint64_t bytes, size_t slot, Executor& executor) {
  std::lock_guard one_at_a_time(reserving_);
  const uint64_t have = reserved();
  if (have >= bytes) return Status::Ok();
  auto work = std::make_shared<Reservation>();
  work->context = context;
  work->bytes = (bytes - have + slot - 1) / slot * slot;
  work->slab = std::max<uint64_t>(slot, kSlab / slot * slot);
  const size_t slabs = work->count = (work->bytes + work->slab - 1) / work->slab;
  for (size_t i = 0; i < slabs; ++i) work->regions.push_back(std::make_shared<Region>(context));
  work->statuses.resize(slabs);
  for (size_t i = 1; i < std::min<size_t>(slabs, std::thread::hardware_concurrency()); ++i) {
    executor.Run([work] { work->Work(); });
  }
  work->Work();
  for (size_t i = 0; i < slabs; ++i) work->made.acquire();

  Status status;
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < slabs; ++i) {
    Region& region = *work->regions[i];
    if (status.ok() && !work->statuses[i].ok()) status = work->statuses[i];
    if (region.memory.empty()) continue;
    region.is_reserve = true;
    reserved_ += region.memory.size();
    for (size_t at = 0; at + slot <= region.memory.size(); at += slot) {
      idle_.emplace(slot, Idle{work->regions[i], region.memory.data() + at});
    }
  }
  // What comes late must not hold them: they go with their last buffer.
  work->regions.clear();
  work->context.reset();
  return status;
}

uint64_t PinnedPool::reserved() const {
  std::lock_guard lock(mutex_);
  return reserved_;
}

void PinnedPool::Trim() {
  Free([](const Region&) { return true; });
}

void PinnedPool::TrimDistrusted() {
  Free([](const Region& region) { return region.context->distrusted(); });
}

template <typename Predicate>
void PinnedPool::Free(Predicate which) {
  // Goes after the lock: freeing locked memory may wait for devices.
  std::multimap<size_t, Idle> freed;
  std::lock_guard lock(mutex_);
  for (auto it = idle_.begin(); it != idle_.end();) {
    const auto next = std::next(it);
    if (which(*it->second.region)) {
      if (it->second.region->is_reserve) reserved_ -= it->first;
      freed.insert(idle_.extract(it));
    }
    it = next;
  }
}

bool PinnedPool::IsLimit(const Status& status) {
  if (status.code() == Code::kOutOfRange) return true;
  const std::string name = status.error_name();
  return name == "CUDA_ERROR_OUT_OF_MEMORY" || name == "CUDA_ERROR_OPERATING_SYSTEM" ||
         name == "CUDA_ERROR_NOT_PERMITTED" || name == "CUDA_ERROR_NOT_SUPPORTED";
}

}  // namespace tensor_checkpoint
