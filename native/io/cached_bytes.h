#ifndef TENSOR_CHECKPOINT_IO_CACHED_BYTES_H_
#define TENSOR_CHECKPOINT_IO_CACHED_BYTES_H_

#include <cstdint>

namespace tensor_checkpoint {

// How many bytes of the range are in the page cache, in whole pages; 0 where the system doesn't tell. Nothing is read.
// Any thread.
uint64_t CachedBytes(int fd, uint64_t offset, uint64_t bytes);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_CACHED_BYTES_H_
