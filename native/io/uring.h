#ifndef TENSOR_CHECKPOINT_IO_URING_H_
#define TENSOR_CHECKPOINT_IO_URING_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tensor_checkpoint {

// A raw io_uring: the two rings that are shared with the kernel, and nothing of what goes through them. Used by the
// thread that made it only (it is set up for a single issuer, where the kernel knows that).
class Uring {
 public:
  struct Completion {
    uint64_t tag;
    int32_t result;  // As of the system call, failures as −errno.
  };

  // nullptr: the kernel is too old, built without it, or a container or sysctl forbids it.
  static std::unique_ptr<Uring> Create(uint32_t entries);
  ~Uring();
  Uring(const Uring&) = delete;
  Uring& operator=(const Uring&) = delete;

  // Prepares a request; false: there is no room until Enter() has taken what was prepared.
  bool PrepareRead(int fd, void* data, uint32_t bytes, uint64_t offset, uint64_t tag);
  bool PrepareWrite(int fd, const void* data, uint32_t bytes, uint64_t offset, uint64_t tag);

  // Hands over what was prepared and waits, if told to, until something has completed. 0, or errno: EINTR, or that the
  // kernel takes no more for now (EAGAIN, EBUSY); what it didn't take stays prepared.
  int Enter(bool wait);

  // The next completion, if there is one.
  bool Reap(Completion* completion);

 private:
  struct Rings;
  explicit Uring(std::unique_ptr<Rings> rings);
  bool Prepare(uint8_t opcode, int fd, uint64_t address, uint32_t bytes, uint64_t offset, uint64_t tag);

  const std::unique_ptr<Rings> rings_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_URING_H_
