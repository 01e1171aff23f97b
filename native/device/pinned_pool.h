#ifndef TENSOR_CHECKPOINT_DEVICE_PINNED_POOL_H_
#define TENSOR_CHECKPOINT_DEVICE_PINNED_POOL_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "base/executor.h"
#include "device/cuda_context.h"

namespace tensor_checkpoint {

// Host memory that devices reach by themselves: page-locked, aligned for direct I/O, portable to every device. Locking
// pages costs far more than a copy, so what was once taken is kept for the next program, until Trim(): it never gets
// to be more than was in use at once, and how much that is, is the business of the programs' budgets.
//
// It is memory of our own that is registered with the driver, not the driver's (cuMemHostAlloc): any file system takes
// it for direct I/O, it has huge pages, and a child process can be kept from sharing its pages, which would part what
// a device writes from what we read.
//
// One per process's engine; any thread. Buffers must go before the pool.
class PinnedPool {
  struct Region;
  struct Reservation;

 public:
  // Memory in use; goes back to the pool when it is destroyed.
  class Buffer {
   public:
    Buffer() = default;
    ~Buffer() { Return(); }
    Buffer(Buffer&& other) noexcept { *this = std::move(other); }
    Buffer& operator=(Buffer&& other) noexcept {
      std::swap(pool_, other.pool_);
      std::swap(region_, other.region_);
      std::swap(data_, other.data_);
      std::swap(size_, other.size_);
      return *this;
    }
    uint8_t* data() const { return data_; }
    size_t size() const { return size_; }
    bool empty() const { return data_ == nullptr; }

   private:
    friend class PinnedPool;
    void Return();
    PinnedPool* pool_ = nullptr;
    std::shared_ptr<Region> region_;
    uint8_t* data_ = nullptr;
    size_t size_ = 0;
  };

  ~PinnedPool();

  // At least so many bytes. What is idle is used first; `lock_more`: otherwise more is locked, in this context, else the
  // buffer is empty().
  Result<Buffer> Take(const std::shared_ptr<const CudaContext>& context, size_t bytes, bool lock_more = true);

  // Sets memory aside, in slots of `slot` bytes, until the pool has `bytes` set aside: backed by huge pages where there
  // are any, touched by several threads at once, and locked once. Waits; any thread, the executor's too.
  // Where locking fails, the memory stays set aside unlocked, and the status says why. kOutOfRange: there is not enough.
  Status Reserve(const std::shared_ptr<const CudaContext>& context, uint64_t bytes, size_t slot, Executor& executor);
  uint64_t reserved() const;

  // Frees what is idle.
  void Trim();
  // Frees what is idle and was locked in a context that is distrusted; what is in use follows when it comes back.
  void TrimDistrusted();

  // Whether a failure to lock memory means that the system allows no more, not that the device is broken.
  static bool IsLimit(const Status& status);

 private:
  struct Idle {
    std::shared_ptr<Region> region;
    uint8_t* data;
  };
  void Give(std::shared_ptr<Region> region, uint8_t* data, size_t size);
  template <typename Predicate>
  void Free(Predicate which);

  mutable std::mutex mutex_;
  std::multimap<size_t, Idle> idle_;  // By size.
  uint64_t reserved_ = 0;
  std::mutex reserving_;  // One Reserve() at a time.
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_PINNED_POOL_H_
