#ifndef TENSOR_CHECKPOINT_IO_COPY_FILE_H_
#define TENSOR_CHECKPOINT_IO_COPY_FILE_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "io/file_system.h"

namespace tensor_checkpoint {

// Copies the file `from` into `to`, which was just created. Waits for each transfer, so not on an executor's last
// thread. kAborted once `aborted` is set. Neither synced nor removed after a failure: that is its caller's.
Result<uint64_t> CopyFile(FileSystem& fs, const std::string& from, File& to, const std::atomic<bool>& aborted);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_COPY_FILE_H_
