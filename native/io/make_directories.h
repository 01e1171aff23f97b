#ifndef TENSOR_CHECKPOINT_IO_MAKE_DIRECTORIES_H_
#define TENSOR_CHECKPOINT_IO_MAKE_DIRECTORIES_H_

#include <string>
#include <vector>

#include "io/file_system.h"

namespace tensor_checkpoint {

// mkdir -p. Returns the directories that did not exist before, outermost first: each of them is a name in its parent
// that must be made durable.
Result<std::vector<std::string>> MakeDirectories(FileSystem& fs, const std::string& path);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_MAKE_DIRECTORIES_H_
