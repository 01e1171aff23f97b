#ifndef TENSOR_CHECKPOINT_PIPELINE_TENSOR_LEDGER_H_
#define TENSOR_CHECKPOINT_PIPELINE_TENSOR_LEDGER_H_

#include <chrono>
#include <vector>

#include "pipeline/plan.h"

namespace tensor_checkpoint {

// Counts what has arrived of each tensor and combines its checksum. Each piece's sum is written by the one thread that
// works on its chunk; the rest is called by one thread at a time.
class TensorLedger {
 public:
  TensorLedger(const std::vector<Extent>& extents, const Plan& plan, uint32_t tensors);

  void SetSum(uint32_t piece, uint32_t crc) { sums_[piece] = crc; }
  uint32_t PieceSum(uint32_t piece) const { return sums_[piece]; }
  // A chunk has arrived; `complete` gets the tensors that are whole now.
  void Arrived(const Chunk& chunk, std::vector<uint32_t>& complete);
  // The checksum of a tensor whose pieces are all summed; 0 for one without bytes.
  uint32_t Sum(uint32_t tensor) const;
  const Progress& progress() const { return progress_; }
  // At most 20 times a second: whether progress is due to be reported.
  bool Due();

 private:
  const std::vector<Extent>& extents_;
  const Plan& plan_;
  std::vector<uint32_t> sums_;
  std::vector<uint64_t> missing_;        // Bytes, per tensor.
  std::vector<uint32_t> extents_begin_;  // Per tensor: its extents are extent_list_[begin[t] … begin[t + 1]).
  std::vector<uint32_t> extent_list_;
  Progress progress_;
  std::chrono::steady_clock::time_point last_report_ = std::chrono::steady_clock::now();
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_TENSOR_LEDGER_H_
