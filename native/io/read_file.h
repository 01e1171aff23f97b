#ifndef TENSOR_CHECKPOINT_IO_READ_FILE_H_
#define TENSOR_CHECKPOINT_IO_READ_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "io/file_system.h"

namespace tensor_checkpoint {

// The whole content of a small file; kOutOfRange where it is larger than `max_bytes`. Blocks: `fs` must not need the
// calling thread to make progress.
Result<std::vector<uint8_t>> ReadWholeFile(FileSystem& fs, const std::string& path, uint64_t max_bytes);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_READ_FILE_H_
