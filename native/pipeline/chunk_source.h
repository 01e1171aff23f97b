#ifndef TENSOR_CHECKPOINT_PIPELINE_CHUNK_SOURCE_H_
#define TENSOR_CHECKPOINT_PIPELINE_CHUNK_SOURCE_H_

#include <functional>
#include <memory>
#include <vector>

#include "base/lazy_rows.h"
#include "pipeline/extents.h"
#include "pipeline/plan.h"
#include "pipeline/scheduler.h"
#include "pipeline/staging_buffer.h"
#include "pipeline/staging_pool.h"
#include "pipeline/tensor_ledger.h"

namespace tensor_checkpoint {

// What the ways of writing chunks share. Entries of a chunk are written by the one thread that works on it.
struct WriteState {
  const SaveProgram& program;
  const std::vector<std::unique_ptr<File>>& files;
  const TransferContext& context;
  const Plan& plan;
  TensorLedger& ledger;
  StagingPool& pool;
  LazyRows<StagingBuffer> staging;  // Per chunk, while it has one.
  LazyRows<Failure> failures;       // Per chunk; without a tensor it is the chunk's first.

  // The phase has ended.
  std::function<void(Scheduler::Start)> done;
  // Writes the chunk from there; then the phase has ended.
  std::function<void(Scheduler::Start, uint8_t* data)> write;
  // Any thread.
  std::function<void(Event)> warn;

  void Fail(uint32_t chunk, Status status) { failures[chunk].status = std::move(status); }
  // nullptr: it has no staging memory, or some of a device.
  uint8_t* Staged(uint32_t chunk) const {
    const StagingBuffer* buffer = staging.Find(chunk);
    return buffer == nullptr ? nullptr : buffer->data();
  }
};

// One way in which the bytes of a chunk get to where they are written from, and the phases that it takes.
class ChunkSource {
 public:
  virtual ~ChunkSource() = default;
  // Fills in all of the task but its share.
  virtual void Describe(const Chunk& chunk, Scheduler::Task& task) const = 0;
  // The phase that writes; the last one, unless the source looks at the bytes again afterwards.
  virtual uint8_t write_phase() const = 0;
  // Where the chunk is written from, once the phases before have ended. nullptr: the source writes it.
  virtual uint8_t* Data(uint32_t task, const Chunk& chunk) const = 0;
  // Performs any other phase, and that one where it has no data, with the state's done() at its end.
  virtual void Perform(Scheduler::Start start, const Chunk& chunk) = 0;
};

// Host memory, written where it lies.
std::unique_ptr<ChunkSource> MakeInPlaceSource(WriteState& state);
// Host memory that passes a staging buffer.
std::unique_ptr<ChunkSource> MakeStagedSource(WriteState& state);

// Copies and sums what lies on the host, and fills the gaps with zeros; pieces of devices have been copied already, and
// are passed to `sum`.
void FillStaging(WriteState& state, const Chunk& chunk, uint8_t* staging,
                 const std::function<void(uint32_t piece)>& sum = nullptr);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_CHUNK_SOURCE_H_
