#include "pipeline/tensor_ledger.h"

#include "checksum/crc32c.h"

namespace tensor_checkpoint {

TensorLedger::TensorLedger(const std::vector<Extent>& extents, const Plan& plan, uint32_t tensors)
    : extents_(extents), plan_(plan), sums_(plan.pieces.size()), missing_(tensors), extents_begin_(tensors + 1) {
  for (const Extent& extent : extents) {
    missing_[extent.tensor] += extent.bytes;
    progress_.bytes_total += extent.bytes;
    ++extents_begin_[extent.tensor + 1];
  }
  for (uint32_t t = 0; t < tensors; ++t) extents_begin_[t + 1] += extents_begin_[t];
  extent_list_.resize(extents.size());
  std::vector<uint32_t> next(extents_begin_.begin(), extents_begin_.end() - 1);
  for (uint32_t i = 0; i < extents.size(); ++i) extent_list_[next[extents[i].tensor]++] = i;
  progress_.tensors_total = tensors;
  for (uint64_t bytes : missing_) progress_.tensors_done += bytes == 0;
}

void TensorLedger::Arrived(const Chunk& chunk, std::vector<uint32_t>& complete) {
  for (uint32_t i = chunk.first_piece; i < chunk.first_piece + chunk.piece_count; ++i) {
    const Piece& piece = plan_.pieces[i];
    progress_.bytes_done += piece.bytes;
    if ((missing_[piece.tensor] -= piece.bytes) == 0) {
      ++progress_.tensors_done;
      complete.push_back(piece.tensor);
    }
  }
}

uint32_t TensorLedger::Sum(uint32_t tensor) const {
  uint32_t crc = 0;
  bool first = true;
  for (uint32_t e = extents_begin_[tensor]; e < extents_begin_[tensor + 1]; ++e) {
    const uint32_t extent = extent_list_[e];
    const uint32_t begin = plan_.first_piece_of[extent];
    for (uint32_t i = begin; i < begin + plan_.piece_count_of[extent]; ++i) {
      crc = first ? sums_[i] : Crc32cCombine(crc, sums_[i], plan_.pieces[i].bytes);
      first = false;
    }
  }
  return crc;
}

bool TensorLedger::Due() {
  const auto now = std::chrono::steady_clock::now();
  if (now - last_report_ < std::chrono::milliseconds(50)) return false;
  last_report_ = now;
  return true;
}

}  // namespace tensor_checkpoint
