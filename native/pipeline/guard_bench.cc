// Saves and loads of a fixed size for the regression guard (benchmarks/guard): it counts what they do and times nothing.
//
//   guard_bench DIRECTORY save|load large|small TIMES
//
// large: 4 tensors of 8 MiB that lie as direct I/O wants them; small: 4096 tensors of 1 KiB that don't. After one run as a
// warm-up the program runs TIMES more; allocations are counted in those, and printed as JSON. Under callgrind the
// instructions of one run are the difference between two values of TIMES, divided.

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <semaphore>
#include <string>
#include <utility>
#include <vector>

#include "checksum/crc32c.h"
#include "pipeline/engine.h"

namespace {

std::atomic<uint64_t> allocations = 0;
std::atomic<uint64_t> allocated_bytes = 0;

void* Allocate(size_t bytes) {
  ++allocations;
  allocated_bytes += bytes;
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

void* operator new(size_t bytes) { return Allocate(bytes); }
void* operator new[](size_t bytes) { return Allocate(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return Allocate(bytes); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return Allocate(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

namespace tensor_checkpoint {
namespace {

struct Shape {
  uint32_t tensors;
  uint64_t bytes;      // Of each.
  uint64_t alignment;  // Of the first one's memory; the others follow.
};
constexpr Shape kLarge{4, 8 << 20, 2 << 20};
constexpr Shape kSmall{4096, 1 << 10, 64};
constexpr uint32_t kFiles = 2;

class Waiter final : public EventSink {
 public:
  void OnEvent(Event event) override {
    if (event.type != Event::Type::kFinished && event.type != Event::Type::kFailed) return;
    last_ = std::move(event);
    ended_.release();
  }
  // The program's counts; ends the process where it failed.
  Stats Wait() {
    ended_.acquire();
    if (last_.type == Event::Type::kFinished && last_.damage.empty()) return last_.stats;
    std::fprintf(stderr, "guard_bench: %s\n", last_.failure.status.message().c_str());
    std::exit(1);
  }

 private:
  std::binary_semaphore ended_{0};
  Event last_{};
};

struct Files {
  std::vector<std::string> paths;
  std::vector<uint64_t> sizes;
  std::vector<Extent> extents;
};

Files Lay(const std::string& directory, const Shape& shape, uint8_t* memory) {
  Files files;
  const uint32_t per_file = shape.tensors / kFiles;
  for (uint32_t i = 0; i < kFiles; ++i) {
    files.paths.push_back(directory + "/data-" + std::to_string(i));
    files.sizes.push_back(per_file * shape.bytes);
  }
  for (uint32_t i = 0; i < shape.tensors; ++i) {
    files.extents.push_back({.memory = memory + i * shape.bytes,
                             .bytes = shape.bytes,
                             .file_offset = (i % per_file) * shape.bytes,
                             .file = i / per_file,
                             .tensor = i});
  }
  return files;
}

SaveProgram MakeSave(const std::string& directory, const Shape& shape, const Files& files) {
  SaveProgram program;
  program.paths = files.paths;
  program.sizes = files.sizes;
  program.extents = files.extents;
  program.tensor_count = shape.tensors;
  Blob index{.temporary_path = directory + "/index.tmp", .bytes = std::vector<uint8_t>(shape.tensors * 16)};
  for (uint32_t i = 0; i < shape.tensors; ++i) index.patches.push_back({uint64_t{i} * 16, i});
  program.blobs.push_back(std::move(index));
  using Op = Step::Op;
  program.steps = {{.op = Op::kCreate, .blob = 0},
                   {.op = Op::kWrite},
                   {.op = Op::kFinish, .blob = 0},
                   {.op = Op::kSync},
                   {.op = Op::kSyncDirectory, .path = directory},
                   {.op = Op::kPublish, .blob = 0, .path = directory + "/index", .commits = true},
                   {.op = Op::kSyncDirectory, .path = directory},
                   {.op = Op::kCommitted}};
  return program;
}

LoadProgram MakeLoad(const Shape& shape, const Files& files, const std::vector<uint32_t>& expected) {
  LoadProgram program;
  program.paths = files.paths;
  program.extents = files.extents;
  program.expected = expected;
  program.verify.assign(shape.tensors, 1);
  return program;
}

void Remove(const std::string& directory, const Files& files) {
  for (const std::string& path : files.paths) std::remove(path.c_str());
  std::remove((directory + "/index").c_str());
}

int Main(const std::string& directory, bool loading, const Shape& shape, int times) {
  const uint64_t total = shape.tensors * shape.bytes;
  std::unique_ptr<uint8_t, void (*)(void*)> owner(
      static_cast<uint8_t*>(std::aligned_alloc(2 << 20, (total + (4 << 20)) & ~uint64_t{(2 << 20) - 1})), std::free);
  uint8_t* const memory = owner.get() + (shape.alignment >= 4096 ? 0 : shape.alignment);
  for (uint64_t i = 0; i < total; ++i) memory[i] = static_cast<uint8_t>(i * 31 + (i >> 12));
  const Files files = Lay(directory, shape, memory);
  std::vector<uint32_t> expected;
  for (uint32_t i = 0; i < shape.tensors; ++i) expected.push_back(Crc32c(0, memory + i * shape.bytes, shape.bytes));
  Engine engine;
  Stats stats;
  const auto save = [&] {
    Remove(directory, files);
    Waiter waiter;
    const auto running = engine.StartSave(MakeSave(directory, shape, files), waiter);
    stats = waiter.Wait();
  };
  const auto load = [&] {
    Waiter waiter;
    const auto running = engine.StartLoad(MakeLoad(shape, files, expected), waiter);
    stats = waiter.Wait();
  };
  save();
  if (loading) load();
  uint64_t counted = 0, bytes = 0;
  for (int time = 0; time < times; ++time) {
    const uint64_t before = allocations, bytes_before = allocated_bytes;
    loading ? load() : save();
    counted += allocations - before;
    bytes += allocated_bytes - bytes_before;
  }
  Remove(directory, files);
  std::printf(
      "{\"allocations\":%.1f,\"allocatedBytes\":%.1f,\"bytes\":%llu,\"bytesCopied\":%llu,\"directBytes\":%llu,"
      "\"syncs\":%llu,\"tensors\":%u}\n",
      times > 0 ? static_cast<double>(counted) / times : 0, times > 0 ? static_cast<double>(bytes) / times : 0,
      static_cast<unsigned long long>(stats.bytes), static_cast<unsigned long long>(stats.bytes_copied),
      static_cast<unsigned long long>(stats.direct_bytes), static_cast<unsigned long long>(stats.syncs), shape.tensors);
  return 0;
}

}  // namespace
}  // namespace tensor_checkpoint

int main(int argc, char** argv) {
  using namespace tensor_checkpoint;
  if (argc != 5) {
    std::fprintf(stderr, "usage: guard_bench DIRECTORY save|load large|small TIMES\n");
    return 2;
  }
  return Main(argv[1], std::strcmp(argv[2], "load") == 0, std::strcmp(argv[3], "large") == 0 ? kLarge : kSmall,
              std::atoi(argv[4]));
}
