#include "io/uring.h"

#if defined(__linux__) && __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>
#endif

namespace tensor_checkpoint {

#if defined(__linux__) && __has_include(<linux/io_uring.h>) && defined(SYS_io_uring_setup)

namespace {

// Of Linux 6.0 and 6.1; the headers may be older than the kernel.
constexpr uint32_t kSingleIssuer = 1u << 12;
constexpr uint32_t kDeferTaskRun = 1u << 13;

class Mapping {
 public:
  Mapping(int fd, uint64_t what, size_t bytes) : bytes_(bytes) {
    address_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, static_cast<off_t>(what));
  }
  ~Mapping() {
    if (ok()) munmap(address_, bytes_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  bool ok() const { return address_ != MAP_FAILED; }
  template <typename T>
  T* At(uint32_t offset) const {
    return reinterpret_cast<T*>(static_cast<uint8_t*>(address_) + offset);
  }

 private:
  void* address_;
  const size_t bytes_;
};

uint32_t Acquire(uint32_t* word) { return std::atomic_ref(*word).load(std::memory_order_acquire); }
void Release(uint32_t* word, uint32_t value) { std::atomic_ref(*word).store(value, std::memory_order_release); }

// Whether the kernel has plain reads and writes (5.6).
bool HasReadAndWrite(int fd) {
  constexpr size_t kOperations = 64;
  alignas(io_uring_probe) uint8_t memory[sizeof(io_uring_probe) + kOperations * sizeof(io_uring_probe_op)] = {};
  auto* const probe = reinterpret_cast<io_uring_probe*>(memory);
  if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_PROBE, probe, kOperations) < 0) return false;
  const auto has = [&](size_t op) { return op < probe->ops_len && (probe->ops[op].flags & IO_URING_OP_SUPPORTED) != 0; };
  return has(IORING_OP_READ) && has(IORING_OP_WRITE);
}

}  // namespace

struct Uring::Rings {
  Rings(int ring, const io_uring_params& params)
      : fd(ring),
        submission(ring, IORING_OFF_SQ_RING, params.sq_off.array + params.sq_entries * sizeof(uint32_t)),
        completion(ring, IORING_OFF_CQ_RING, params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe)),
        entries(ring, IORING_OFF_SQES, params.sq_entries * sizeof(io_uring_sqe)),
        offsets(params) {}
  ~Rings() { close(fd); }
  bool ok() const { return submission.ok() && completion.ok() && entries.ok(); }

  const int fd;
  const Mapping submission, completion, entries;
  const io_uring_params offsets;
  uint32_t prepared = 0;  // Not taken by the kernel yet.
};

std::unique_ptr<Uring> Uring::Create(uint32_t entries) {
  io_uring_params params;
  long fd = -1;
  for (const uint32_t flags : {kSingleIssuer | kDeferTaskRun, 0u}) {
    std::memset(&params, 0, sizeof(params));
    params.flags = flags;
    fd = syscall(SYS_io_uring_setup, entries, &params);
    if (fd >= 0 || errno != EINVAL) break;
  }
  if (fd < 0) return nullptr;
  auto rings = std::make_unique<Rings>(static_cast<int>(fd), params);
  // Without NODROP, completions could be lost when more come than there is room for.
  if (!rings->ok() || (params.features & IORING_FEAT_NODROP) == 0 || !HasReadAndWrite(rings->fd)) return nullptr;
  return std::unique_ptr<Uring>(new Uring(std::move(rings)));
}

Uring::Uring(std::unique_ptr<Rings> rings) : rings_(std::move(rings)) {}
Uring::~Uring() = default;

bool Uring::Prepare(uint8_t opcode, int fd, uint64_t address, uint32_t bytes, uint64_t offset, uint64_t tag) {
  Rings& r = *rings_;
  const auto& at = r.offsets.sq_off;
  uint32_t* const tail = r.submission.At<uint32_t>(at.tail);
  const uint32_t position = *tail;
  if (position - Acquire(r.submission.At<uint32_t>(at.head)) == r.offsets.sq_entries) return false;
  const uint32_t slot = position & (r.offsets.sq_entries - 1);
  io_uring_sqe& entry = r.entries.At<io_uring_sqe>(0)[slot];
  std::memset(&entry, 0, sizeof(entry));
  entry.opcode = opcode;
  entry.fd = fd;
  entry.addr = address;
  entry.len = bytes;
  entry.off = offset;
  entry.user_data = tag;
  r.submission.At<uint32_t>(at.array)[slot] = slot;
  Release(tail, position + 1);
  ++r.prepared;
  return true;
}

bool Uring::PrepareRead(int fd, void* data, uint32_t bytes, uint64_t offset, uint64_t tag) {
  return Prepare(IORING_OP_READ, fd, reinterpret_cast<uint64_t>(data), bytes, offset, tag);
}

bool Uring::PrepareWrite(int fd, const void* data, uint32_t bytes, uint64_t offset, uint64_t tag) {
  return Prepare(IORING_OP_WRITE, fd, reinterpret_cast<uint64_t>(data), bytes, offset, tag);
}

int Uring::Enter(bool wait) {
  // Completions may sit in the kernel until they are asked for (deferred work, overflow): GETEVENTS always.
  const long taken = syscall(SYS_io_uring_enter, rings_->fd, rings_->prepared, wait ? 1 : 0, IORING_ENTER_GETEVENTS,
                             nullptr, size_t{0});
  if (taken < 0) return errno;
  rings_->prepared -= std::min(rings_->prepared, static_cast<uint32_t>(taken));
  return 0;
}

bool Uring::Reap(Completion* completion) {
  Rings& r = *rings_;
  const auto& at = r.offsets.cq_off;
  uint32_t* const head = r.completion.At<uint32_t>(at.head);
  const uint32_t position = *head;
  if (position == Acquire(r.completion.At<uint32_t>(at.tail))) return false;
  const io_uring_cqe& entry = r.completion.At<io_uring_cqe>(at.cqes)[position & (r.offsets.cq_entries - 1)];
  *completion = {entry.user_data, entry.res};
  Release(head, position + 1);
  return true;
}

#else

struct Uring::Rings {};
std::unique_ptr<Uring> Uring::Create(uint32_t) { return nullptr; }
Uring::Uring(std::unique_ptr<Rings>) {}
Uring::~Uring() = default;
bool Uring::PrepareRead(int, void*, uint32_t, uint64_t, uint64_t) { return false; }
bool Uring::PrepareWrite(int, const void*, uint32_t, uint64_t, uint64_t) { return false; }
int Uring::Enter(bool) { return 0; }
bool Uring::Reap(Completion*) { return false; }

#endif

}  // namespace tensor_checkpoint
