#ifndef TENSOR_CHECKPOINT_IO_MAKE_FILE_SYSTEM_H_
#define TENSOR_CHECKPOINT_IO_MAKE_FILE_SYSTEM_H_

#include <memory>
#include <string_view>

#include "base/executor.h"
#include "io/file_system.h"

namespace tensor_checkpoint {

struct ChosenFileSystem {
  std::unique_ptr<FileSystem> fs;
  const char* io;  // "threads" or "uring": how direct transfers are made.
};

// The operating system's file system. `wish` is "threads", "uring" or anything else for the choice that measured best;
// "uring" where this process can't use io_uring gives threads. The executor must outlive it.
ChosenFileSystem MakeFileSystem(Executor* executor, std::string_view wish);

// By the environment variable TENSOR_CHECKPOINT_IO.
ChosenFileSystem MakeFileSystem(Executor* executor);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_MAKE_FILE_SYSTEM_H_
