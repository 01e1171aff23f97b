#ifndef TENSOR_CHECKPOINT_PIPELINE_PROGRAM_H_
#define TENSOR_CHECKPOINT_PIPELINE_PROGRAM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/thread.h"

// Programs as src/native/contract.ts describes them, with addresses in place of buffer indices. Whoever fills them in
// has checked every index, range and length against the memory and lists that it refers to.
namespace tensor_checkpoint {

inline constexpr uint32_t kHost = UINT32_MAX;

struct Extent {
  uint8_t* memory = nullptr;  // nullptr in a load: read and sum only. Of a device: its address, for arithmetic only.
  uint64_t bytes = 0;
  uint64_t file_offset = 0;
  uint32_t file = 0;
  uint32_t tensor = 0;
  uint32_t device = kHost;  // Index into the program's `devices`.
  // The memory may be written to by others while the program runs.
  bool mutable_memory = true;
  // Goes through staging where `copy` of the options says so: else its owner would have to wait until it is written.
  bool copied = true;
};

// Where device memory lies, and after which work it may be read or written.
struct DeviceRow {
  uint32_t ordinal = 0;
  bool has_stream = false;  // Otherwise the context is synchronized.
  uint64_t stream = 0;
};

struct Blob {
  std::string temporary_path;
  std::vector<uint8_t> bytes;
  struct Patch {
    uint64_t position;
    uint32_t tensor;
  };
  struct Seal {
    uint64_t start, length, position;
  };
  std::vector<Patch> patches;
  std::vector<Seal> seals;
};

struct Step {
  enum class Op : uint8_t { kCreate, kWrite, kFinish, kSync, kPublish, kLink, kUnlink, kSyncDirectory, kIndexed, kCommitted };
  Op op;
  uint32_t blob = 0;
  std::string path;
  std::string from;  // Of kLink.
  bool commits = false;
  bool optional = false;
};

// Whether bytes of devices move without passing the host (GPUDirect Storage).
enum class GpuDirectUse : uint8_t {
  kOff,
  kAuto,      // Where it is possible; where not, a warning says why.
  kRequired,  // Where it is not possible, the program fails with the reason.
};

struct TransferOptions {
  uint32_t threads = 0;
  uint64_t staging_bytes = 256 << 20;
  bool copy = false;
  bool durable = true;
  bool direct = true;
  bool progress = false;
  bool keep_going = false;
  // Of the executor's threads.
  Priority priority = Priority::kNormal;
  // Of device memory.
  uint64_t snapshot_pool_bytes = 0;
  bool device_shadow = false;
  bool device_checksum = false;
  GpuDirectUse gpu_direct = GpuDirectUse::kOff;
  // What doesn't pass the host has no other checksum.
  bool SumsOnDevice() const { return device_checksum || gpu_direct != GpuDirectUse::kOff; }
};

struct SaveProgram {
  std::vector<std::string> paths;
  std::vector<uint64_t> sizes;
  std::vector<Extent> extents;
  std::vector<DeviceRow> devices;
  uint32_t tensor_count = 0;
  std::vector<Blob> blobs;
  std::vector<Step> steps, undo;
  TransferOptions options;
};

struct LoadProgram {
  std::vector<std::string> paths;
  std::vector<Extent> extents;
  std::vector<DeviceRow> devices;
  std::vector<uint32_t> expected;  // One per tensor, as `verify`.
  std::vector<uint8_t> verify;
  TransferOptions options;
};

struct Progress {
  uint64_t bytes_done = 0, bytes_total = 0;
  uint32_t tensors_done = 0, tensors_total = 0;
};

struct Stats {
  uint64_t bytes = 0, bytes_copied = 0, direct_bytes = 0, gpu_direct_bytes = 0, syncs = 0;
  double seconds = 0, captured_seconds = 0, write_seconds = 0, sync_seconds = 0;
};

inline constexpr uint32_t kNoTensor = UINT32_MAX;

struct Failure {
  Status status;
  uint32_t tensor = kNoTensor;
};

struct Damage {
  uint32_t tensor;
  const char* kind;  // As LoadDamage in the contract.
  Status status;
  bool has_found = false;
  uint32_t found = 0;
};

// One event of a program; `type` says which of the other fields mean something.
struct Event {
  enum class Type : uint8_t { kCaptured, kIndexed, kCommitted, kProgress, kWarning, kFinished, kFailed };
  Type type;
  double seconds = 0;
  Progress progress;
  const char* warning = "";
  Failure failure;
  Stats stats;
  bool published = false, undone = false;
  std::vector<Damage> damage;
  std::vector<uint8_t> touched;
};

// Where a program's events go. Called by the program's threads, one call at a time, in order; must not block.
// After the last event (finished or failed) the program touches no memory of its caller's any more.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void OnEvent(Event event) = 0;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_PROGRAM_H_
