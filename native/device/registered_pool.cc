#include "device/registered_pool.h"

#include <algorithm>
#include <bit>
#include <string>

namespace tensor_checkpoint {
namespace {

// The unit in which device memory is mapped for others.
constexpr size_t kSmallest = 64 << 10;

}  // namespace

RegisteredPool::Region::~Region() {
  if (!registered) return;
  // Before the memory goes, which the next member does.
  ReleaseIn(*context, [this](const CudaFunctions&) {
    (void)cufile.call().cuFileBufDeregister(reinterpret_cast<void*>(memory.address()));
  });
}

void RegisteredPool::Buffer::Return() {
  if (pool_ == nullptr || region_ == nullptr) return;
  // Of a device that failed nothing is kept.
  if (!region_->context->distrusted()) {
    std::lock_guard lock(pool_->mutex_);
    pool_->idle_.push_back(std::move(region_));
  }
  region_.reset();
}

Result<RegisteredPool::Buffer> RegisteredPool::Take(const std::shared_ptr<const CudaContext>& context, const CuFile& cufile,
                                                    size_t bytes) {
  Buffer buffer;
  buffer.pool_ = this;
  {
    std::lock_guard lock(mutex_);
    const auto found = std::find_if(idle_.rbegin(), idle_.rend(), [&](const auto& r) { return r->memory.size() >= bytes; });
    if (found != idle_.rend()) {
      buffer.region_ = std::move(*found);
      idle_.erase(std::next(found).base());
      return buffer;
    }
  }
  auto region = std::make_unique<Region>(context, cufile);
  const size_t size = std::bit_ceil(std::max(bytes, kSmallest));
  auto memory = DeviceBuffer::Allocate(context, size);
  if (!memory.ok()) return memory.status();
  region->memory = std::move(*memory);
  CurrentContext current(*context);
  if (!current.status().ok()) return current.status();
  Status status = CuFile::Check(cufile.call().cuFileBufRegister(reinterpret_cast<void*>(region->memory.address()), size, 0),
                                "cuFileBufRegister", std::to_string(size) + " bytes of device " + std::to_string(context->ordinal()));
  if (!status.ok()) return status;
  region->registered = true;
  buffer.region_ = std::move(region);
  return buffer;
}

void RegisteredPool::Trim() {
  std::vector<std::unique_ptr<Region>> freed;
  std::lock_guard lock(mutex_);
  freed.swap(idle_);
}

}  // namespace tensor_checkpoint
