#include "device/pinned_pool.h"

#include <algorithm>
#include <semaphore>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"

namespace tensor_checkpoint {
namespace {

// Locked in one call each: large enough for the driver to be quick about it, small enough that several threads share.
constexpr uint64_t kSlab = uint64_t{256} << 20;

std::string Bytes(uint64_t bytes) { return std::to_string(bytes) + " bytes"; }

}  // namespace

// Memory that was locked in one call, or could not be; freed with the last buffer of it.
struct PinnedPool::Region {
  Region(std::shared_ptr<const CudaContext> locked_in) : context(std::move(locked_in)) {}
  ~Region() {
    if (host == nullptr && !registered) return;
    ReleaseIn(*context, [this](const CudaFunctions& call) {
      if (host != nullptr) (void)call.cuMemFreeHost(host);
      else (void)call.cuMemHostUnregister(memory.data());
    });
  }

  const std::shared_ptr<const CudaContext> context;
  void* host = nullptr;   // From cuMemHostAlloc; otherwise:
  AlignedBuffer memory;
  bool registered = false;
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
  CurrentContext current(*context);
  if (!current.status().ok()) return current.status();
  Status status = context->Check(context->call().cuMemHostAlloc(&region->host, bytes, CU_MEMHOSTALLOC_PORTABLE), "cuMemHostAlloc", Bytes(bytes));
  if (!status.ok()) {
    region->host = nullptr;
    return status;
  }
  buffer.pool_ = this;
  buffer.data_ = static_cast<uint8_t*>(region->host);
  buffer.size_ = bytes;
  buffer.region_ = std::move(region);
  return buffer;
}

void PinnedPool::Give(std::shared_ptr<Region> region, uint8_t* data, size_t size) {
  std::lock_guard lock(mutex_);
  if (region->context->distrusted()) {
    if (region->is_reserve) reserved_ -= size;
    return;
  }
  idle_.emplace(size, Idle{std::move(region), data});
}

Status PinnedPool::Reserve(const std::shared_ptr<const CudaContext>& context, uint64_t bytes, size_t slot, Executor& executor) {
  std::lock_guard one_at_a_time(reserving_);
  const uint64_t have = reserved();
  if (have >= bytes) return Status::Ok();
  const uint64_t missing = (bytes - have + slot - 1) / slot * slot;
  const uint64_t slab = std::max<uint64_t>(slot, kSlab / slot * slot);

  struct Slab {
    std::shared_ptr<Region> region;
    Status status;
  };
  std::vector<Slab> slabs((missing + slab - 1) / slab);
  std::counting_semaphore<> ready(0);
  for (size_t i = 0; i < slabs.size(); ++i) {
    const uint64_t size = std::min(slab, missing - i * slab);
    executor.Run([&, i, size] {
      slabs[i].region = std::make_shared<Region>(context);
      Region& region = *slabs[i].region;
      region.memory = AlignedBuffer::Allocate(size);
      if (region.memory.empty()) {
        slabs[i].status = Status(Code::kOutOfRange, "there is no memory for a snapshot pool of " + Bytes(bytes));
      } else {
        // Locking would touch the pages too, but by one thread.
        for (uint64_t at = 0; at < size; at += AlignedBuffer::kPage) static_cast<volatile uint8_t*>(region.memory.data())[at] = 0;
        CurrentContext current(*context);
        slabs[i].status = current.status();
        if (current.status().ok()) {
          slabs[i].status = context->Check(context->call().cuMemHostRegister(region.memory.data(), size, CU_MEMHOSTREGISTER_PORTABLE),
                                           "cuMemHostRegister", Bytes(size));
          region.registered = slabs[i].status.ok();
        }
      }
      ready.release();
    });
  }
  for (size_t i = 0; i < slabs.size(); ++i) ready.acquire();

  Status status;
  std::lock_guard lock(mutex_);
  for (Slab& made : slabs) {
    if (status.ok() && !made.status.ok()) status = made.status;
    if (made.region->memory.empty()) continue;
    made.region->is_reserve = true;
    reserved_ += made.region->memory.size();
    for (size_t at = 0; at + slot <= made.region->memory.size(); at += slot) {
      idle_.emplace(slot, Idle{made.region, made.region->memory.data() + at});
    }
  }
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
