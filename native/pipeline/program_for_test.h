#ifndef TENSOR_CHECKPOINT_PIPELINE_PROGRAM_FOR_TEST_H_
#define TENSOR_CHECKPOINT_PIPELINE_PROGRAM_FOR_TEST_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <mutex>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "checksum/crc32c.h"
#include "io/faulty_file_system_for_test.h"
#include "io/make_file_system.h"
#include "io/posix_file_system.h"
#include "io/temporary_directory_for_test.h"
#include "pipeline/program.h"
#include "pipeline/staging_pool.h"

namespace tensor_checkpoint {

// Keeps a program's events, and checks what holds for every program: none comes after the last one.
class EventLog final : public EventSink {
 public:
  void OnEvent(Event event) override {
    std::lock_guard lock(mutex_);
    EXPECT_FALSE(ended_) << "an event after the last one";
    ended_ = event.type == Event::Type::kFinished || event.type == Event::Type::kFailed;
    events_.push_back(std::move(event));
  }

  bool ended() const { return ended_; }
  const Event& last() const { return events_.back(); }
  size_t Count(Event::Type type) const {
    size_t count = 0;
    for (const Event& event : events_) count += event.type == type;
    return count;
  }
  // The first event of a type, of which there is one.
  const Event& Find(Event::Type type) const {
    const auto found =
        std::find_if(events_.begin(), events_.end(), [&](const Event& event) { return event.type == type; });
    EXPECT_NE(found, events_.end());
    return found != events_.end() ? *found : events_.back();
  }
  // "captured indexed committed finished", warnings as "warning:missing"; progress is left out.
  std::string Summary() const {
    std::string text;
    for (const Event& event : events_) {
      if (event.type == Event::Type::kProgress) continue;
      if (!text.empty()) text += ' ';
      switch (event.type) {
        case Event::Type::kCaptured: text += "captured"; break;
        case Event::Type::kIndexed: text += "indexed"; break;
        case Event::Type::kCommitted: text += "committed"; break;
        case Event::Type::kWarning: text += std::string("warning:") + event.warning; break;
        case Event::Type::kFinished: text += "finished"; break;
        case Event::Type::kFailed: text += "failed"; break;
        case Event::Type::kProgress: break;
      }
    }
    return text;
  }

 private:
  std::mutex mutex_;
  std::vector<Event> events_;
  bool ended_ = false;
};

inline std::string ReadText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

inline uint32_t Fixed32At(const std::string& bytes, size_t position) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(bytes.at(position + i));
  return value;
}

inline uint32_t Sum(const void* data, size_t n) { return Crc32c(0, data, n); }
inline uint32_t Sum(const std::string& bytes) { return Sum(bytes.data(), bytes.size()); }

// The owner of memory writes to it while a program runs. As this is JavaScript in production, ThreadSanitizer must not
// see it: the race is the point. What it reports of the engine's own threads stands.
__attribute__((noinline, no_sanitize("thread"))) inline void ChangeAsOwner(uint8_t* byte) { *byte += 1; }

// A temporary directory behind a faulty file system with threads, and a checkpoint in it as a save would make it:
// tensors of odd sizes in two data files, an index with their checksums and one of its own, a state file.
class ProgramTest : public testing::Test {
 protected:
  static constexpr size_t kHead = 16;  // Of the index, before the checksums.

  ProgramTest() : pool_(4), chosen_(MakeFileSystem(&pool_)), base_(*chosen_.fs), fs_(&base_), state_path_(directory_ / "checkpoint") {}

  struct Layout {
    std::vector<size_t> tensor_bytes;
    size_t alignment = 1;     // Of offsets in the files.
    size_t max_extent = SIZE_MAX;  // Tensors are split into extents of at most this.
  };

  // Alignments of both kinds, nothing at all, a single byte, and more than any chunk.
  static Layout Mixed() { return {{0, 1, 4096, 65537, 3 << 20, 100, 1 << 20, 7}, 1, SIZE_MAX}; }
  static Layout Aligned() { return {{4096, 3 << 20, 1 << 20, 65536, 5000}, 4096, SIZE_MAX}; }

  // Memory and a program that saves it. Call once per test, or again for the same tensors under another name.
  SaveProgram MakeSave(const Layout& layout, const std::string& name = "ckpt-1") {
    if (tensors_.empty()) FillTensors(layout);
    SaveProgram program;
    program.tensor_count = static_cast<uint32_t>(layout.tensor_bytes.size());
    program.sizes.assign(2, 0);
    for (int shard = 0; shard < 2; ++shard) {
      program.paths.push_back(directory_ / (name + ".data-0000" + std::to_string(shard) + "-of-00002"));
    }
    for (uint32_t tensor = 0; tensor < program.tensor_count; ++tensor) {
      const uint32_t file = tensor % 2;
      uint64_t& end = program.sizes[file];
      end = (end + layout.alignment - 1) / layout.alignment * layout.alignment;
      size_t position = 0;
      do {
        const size_t bytes = std::min(layout.max_extent, layout.tensor_bytes[tensor] - position);
        program.extents.push_back({.memory = tensors_[tensor].data() + position,
                                   .bytes = bytes,
                                   .file_offset = end + position,
                                   .file = file,
                                   .tensor = tensor});
        position += bytes;
      } while (position < layout.tensor_bytes[tensor]);
      end += layout.tensor_bytes[tensor];
    }

    Blob index;
    index.temporary_path = directory_ / (name + ".index.tempstate1");
    index.bytes.assign(kHead + 4 * (program.tensor_count + 1), 0x11);
    for (uint32_t tensor = 0; tensor < program.tensor_count; ++tensor) {
      index.patches.push_back({kHead + 4 * tensor, tensor});
    }
    index.seals.push_back({0, kHead + 4 * program.tensor_count, kHead + 4 * program.tensor_count});
    Blob state;
    state.temporary_path = state_path_ + ".tmp1";
    const std::string text = "model_checkpoint_path: \"" + name + "\"\n";
    state.bytes.assign(text.begin(), text.end());
    program.blobs = {index, state};

    const std::string index_path = directory_ / (name + ".index");
    const std::string& where = directory_.path();
    using Op = Step::Op;
    program.steps = {
        {.op = Op::kCreate, .blob = 0},
        {.op = Op::kCreate, .blob = 1},
        {.op = Op::kWrite},
        {.op = Op::kFinish, .blob = 0},
        {.op = Op::kFinish, .blob = 1},
        {.op = Op::kSync},
        {.op = Op::kSyncDirectory, .path = where},
        {.op = Op::kPublish, .blob = 0, .path = index_path, .commits = true},
        {.op = Op::kSyncDirectory, .path = where},
        {.op = Op::kIndexed},
        {.op = Op::kPublish, .blob = 1, .path = state_path_},
        {.op = Op::kSyncDirectory, .path = where},
        {.op = Op::kCommitted},
    };
    program.undo = {{.op = Op::kUnlink, .path = index_path}, {.op = Op::kSyncDirectory, .path = where}};
    for (const std::string& path : program.paths) program.undo.push_back({.op = Op::kUnlink, .path = path});
    program.options.staging_bytes = 8 << 20;
    program.options.threads = 2;
    return program;
  }

  void FillTensors(const Layout& layout) {
    std::mt19937_64 random(7);
    for (const size_t bytes : layout.tensor_bytes) {
      tensors_.push_back(AlignedBuffer::Allocate(std::max<size_t>(bytes, 1)));
      for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
        const uint64_t eight = random();
        std::memcpy(tensors_.back().data() + i, &eight, std::min(sizeof(eight), bytes - i));
      }
    }
  }

  // The checkpoint is whole: every tensor has its bytes in the files, and the index their checksums and its own.
  void ExpectSaved(const SaveProgram& program, const std::string& name = "ckpt-1") {
    std::vector<std::string> data;
    for (size_t file = 0; file < program.paths.size(); ++file) {
      data.push_back(ReadText(program.paths[file]));
      EXPECT_EQ(data[file].size(), program.sizes[file]);
    }
    std::vector<uint32_t> sums(program.tensor_count);
    for (const Extent& extent : program.extents) {
      ASSERT_LE(extent.file_offset + extent.bytes, data[extent.file].size());
      const char* const found = data[extent.file].data() + extent.file_offset;
      EXPECT_EQ(std::memcmp(found, extent.memory, extent.bytes), 0) << "tensor " << extent.tensor;
      sums[extent.tensor] = Crc32c(sums[extent.tensor], found, extent.bytes);
    }
    ExpectIndexHas(sums, name);
    EXPECT_EQ(ReadText(state_path_), "model_checkpoint_path: \"" + name + "\"\n");
  }

  void ExpectIndexHas(const std::vector<uint32_t>& sums, const std::string& name = "ckpt-1") {
    const std::string index = ReadText(directory_ / (name + ".index"));
    ASSERT_EQ(index.size(), kHead + 4 * (sums.size() + 1));
    EXPECT_EQ(index.substr(0, kHead), std::string(kHead, '\x11'));
    for (size_t tensor = 0; tensor < sums.size(); ++tensor) {
      EXPECT_EQ(UnmaskCrc32c(Fixed32At(index, kHead + 4 * tensor)), sums[tensor]) << "tensor " << tensor;
    }
    const size_t sealed = kHead + 4 * sums.size();
    EXPECT_EQ(UnmaskCrc32c(Fixed32At(index, sealed)), Sum(index.data(), sealed));
  }

  std::vector<std::string> Names() { return *base_.ReadDirectory(directory_.path()); }

  TemporaryDirectory directory_;
  ThreadPool pool_;
  const ChosenFileSystem chosen_;  // By TENSOR_CHECKPOINT_IO, as in production.
  FileSystem& base_;
  FaultyFileSystem fs_;
  const std::string state_path_;
  std::vector<AlignedBuffer> tensors_;
  std::atomic<bool> aborted_{false};
  StagingPool staging_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_PROGRAM_FOR_TEST_H_
