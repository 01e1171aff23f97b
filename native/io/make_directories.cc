#include "io/make_directories.h"

#include <cerrno>

namespace tensor_checkpoint {

Result<std::vector<std::string>> MakeDirectories(FileSystem& fs, const std::string& path) {
  // Upwards to the first ancestor that is there, then down again.
  std::vector<std::string> missing;
  std::string current = path;
  for (;;) {
    while (current.size() > 1 && current.back() == '/') current.pop_back();
    if (current.empty()) break;
    auto info = fs.Stat(current);
    if (info.ok()) {
      if (info->is_directory) break;
      return Status::FromErrno(ENOTDIR, "mkdir", current);
    }
    if (info.status().code() != Code::kNotFound) return info.status();
    missing.push_back(current);
    const size_t slash = current.rfind('/');
    if (slash == std::string::npos) break;
    current.resize(slash == 0 ? 1 : slash);
  }
  std::vector<std::string> made;
  for (auto directory = missing.rbegin(); directory != missing.rend(); ++directory) {
    Status status = fs.MakeDirectory(*directory);
    // Somebody else was faster: theirs to make durable, but it costs nothing to do it as well.
    if (!status.ok() && status.error() != EEXIST) return status;
    made.push_back(*directory);
  }
  return made;
}

}  // namespace tensor_checkpoint
