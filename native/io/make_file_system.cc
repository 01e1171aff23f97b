#include "io/make_file_system.h"

#include <cstdlib>

#include "io/posix_file_system.h"
#include "io/uring_file_system.h"

namespace tensor_checkpoint {

ChosenFileSystem MakeFileSystem(Executor* executor, std::string_view wish) {
  if (wish == "uring") {
    if (auto uring = UringFileSystem::Create(executor)) return {std::move(uring), "uring"};
  }
  return {std::make_unique<PosixFileSystem>(executor), "threads"};
}

ChosenFileSystem MakeFileSystem(Executor* executor) {
  const char* const wish = std::getenv("TENSOR_CHECKPOINT_IO");
  return MakeFileSystem(executor, wish == nullptr ? "" : wish);
}

}  // namespace tensor_checkpoint
