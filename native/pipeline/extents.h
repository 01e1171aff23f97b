#ifndef TENSOR_CHECKPOINT_PIPELINE_EXTENTS_H_
#define TENSOR_CHECKPOINT_PIPELINE_EXTENTS_H_

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "base/executor.h"
#include "device/cuda_devices.h"
#include "io/file_system.h"
#include "pipeline/program.h"
#include "pipeline/staging_pool.h"

namespace tensor_checkpoint {

// What a transfer shares with the program that runs it.
struct TransferContext {
  FileSystem* fs;
  Executor* executor;
  const std::atomic<bool>* aborted;
  std::function<void(Event)> emit;  // One call at a time.
  StagingPool* staging;
  CudaDevices* devices = nullptr;   // nullptr: device memory is refused.
};

struct WriteOutcome {
  Failure failure;
  std::vector<uint32_t> checksums;  // Per tensor.
};

// Moves all extents of a save into its files and sums them; returns when nothing is under way any more.
WriteOutcome WriteExtents(const SaveProgram& program, const std::vector<std::unique_ptr<File>>& files,
                          const TransferContext& context, Stats& stats, const std::function<void()>& captured);

struct ReadOutcome {
  Failure failure;
  std::vector<Damage> damage;
  std::vector<uint8_t> touched;
};

// Reads all extents of a load into memory and compares checksums; returns when nothing is under way any more.
ReadOutcome ReadExtents(const LoadProgram& program, const TransferContext& context, Stats& stats);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_EXTENTS_H_
