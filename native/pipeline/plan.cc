#include "pipeline/plan.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace tensor_checkpoint {
namespace {

// Below this a run is cheaper copied into a shared chunk than moved by a request of its own.
constexpr uint64_t kInPlaceMinimum = 256 << 10;
// Gaps up to this are transferred along rather than splitting the chunk.
constexpr uint64_t kLargestGap = 64 << 10;
// Direct and buffered writes never share a page, so that neither the page cache nor the kernel has to reconcile them.
constexpr uint64_t kPage = 4096;

uint64_t Down(uint64_t value, uint64_t unit) { return value - value % unit; }
uint64_t Up(uint64_t value, uint64_t unit) { return Down(value + unit - 1, unit); }

// Plans one file. At most one staged chunk is open at a time; it starts at an aligned offset and is padded to an
// aligned end. Nothing else lies in the padding: what follows within the same unit joins the open chunk.
class FilePlanner {
 public:
  FilePlanner(Plan& plan, uint32_t file, DirectAlignment direct, uint64_t size, const PlanOptions& options)
      : plan_(plan), file_(file), options_(options), direct_(direct.possible()), memory_unit_(std::max(direct.memory, 1u)) {
    unit_ = !direct_ ? 1 : options.writing ? std::max<uint64_t>(direct.offset, kPage) : direct.offset;
    // Behind the last whole unit of a file that is written, bytes go buffered: no padding beyond the end.
    limit_ = options.writing ? Down(size, unit_) : std::numeric_limits<uint64_t>::max();
  }

  void Add(const Extent& extent, uint32_t index) {
    plan_.first_piece_of[index] = static_cast<uint32_t>(plan_.pieces.size());
    const uint64_t begin = extent.file_offset, end = begin + extent.bytes;
    const uint64_t middle = Up(begin, unit_), tail = Down(end, unit_);
    if (tail > middle && tail - middle >= kInPlaceMinimum && MayStay(extent, middle - begin)) {
      Stage(extent, begin, middle);
      Close();
      for (uint64_t at = middle; at < tail;) {
        // Chunk boundaries lie at multiples of the chunk size, where the devices' own units are.
        const uint64_t next = std::min(tail, Down(at, options_.chunk_bytes) + options_.chunk_bytes);
        const auto bytes = static_cast<uint32_t>(next - at);
        plan_.chunks.push_back({file_, at, bytes, bytes, bytes, static_cast<uint32_t>(plan_.pieces.size()), 1, false, direct_});
        AddPiece(extent, at, next, 0);
        at = next;
      }
      Stage(extent, tail, end);
    } else {
      Stage(extent, begin, end);
    }
    plan_.piece_count_of[index] = static_cast<uint32_t>(plan_.pieces.size()) - plan_.first_piece_of[index];
  }

  void Close() {
    if (!open_) return;
    open_ = false;
    Chunk& chunk = plan_.chunks.back();
    chunk.piece_count = static_cast<uint32_t>(plan_.pieces.size()) - chunk.first_piece;
    chunk.used = static_cast<uint32_t>(end_ - chunk.offset);
    chunk.direct = direct_ && chunk.offset < limit_;
    chunk.bytes = chunk.direct ? static_cast<uint32_t>(Up(chunk.used, unit_)) : chunk.used;
  }

 private:
  bool MayStay(const Extent& extent, uint64_t skip) const {
    if (extent.memory == nullptr || extent.device != kHost || (options_.copy && extent.copied)) return false;
    return reinterpret_cast<uintptr_t>(extent.memory + skip) % memory_unit_ == 0;
  }

  void Stage(const Extent& extent, uint64_t begin, uint64_t end) {
    while (begin < end) {
      if (open_ && (begin < start_ || begin >= stop_ || (begin > end_ && begin - end_ > kLargestGap))) Close();
      if (!open_) Open(begin);
      const uint64_t next = std::min(end, stop_);
      AddPiece(extent, begin, next, begin - start_);
      plan_.chunks.back().payload += static_cast<uint32_t>(next - begin);
      end_ = std::max(end_, next);
      begin = next;
    }
  }

  void Open(uint64_t at) {
    open_ = true;
    start_ = end_ = Down(at, unit_);
    stop_ = start_ + options_.chunk_bytes;
    if (start_ < limit_) stop_ = std::min(stop_, limit_);
    plan_.chunks.push_back({file_, start_, 0, 0, 0, static_cast<uint32_t>(plan_.pieces.size()), 0, true, false});
  }

  void AddPiece(const Extent& extent, uint64_t begin, uint64_t end, uint64_t at) {
    uint8_t* memory = extent.memory == nullptr ? nullptr : extent.memory + (begin - extent.file_offset);
    plan_.pieces.push_back({memory, static_cast<uint32_t>(end - begin), static_cast<uint32_t>(at), extent.tensor, extent.device, extent.mutable_memory});
    if (open_ && plan_.chunks.back().device == kHost) plan_.chunks.back().device = extent.device;
  }

  Plan& plan_;
  const uint32_t file_;
  const PlanOptions& options_;
  const bool direct_;
  const uint64_t memory_unit_;
  uint64_t unit_;
  uint64_t limit_;

  bool open_ = false;
  uint64_t start_ = 0;  // Of the open chunk.
  uint64_t end_ = 0;    // Behind its last piece so far.
  uint64_t stop_ = 0;   // It can't grow beyond this.
};

}  // namespace

Result<Plan> PlanTransfer(const std::vector<Extent>& extents, const std::vector<DirectAlignment>& alignments,
                          const std::vector<uint64_t>& sizes, const PlanOptions& options) {
  Plan plan;
  plan.first_piece_of.assign(extents.size(), 0);
  plan.piece_count_of.assign(extents.size(), 0);
  std::vector<uint32_t> order(extents.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto before = [&](uint32_t a, uint32_t b) {
    return extents[a].file != extents[b].file ? extents[a].file < extents[b].file
                                              : extents[a].file_offset < extents[b].file_offset;
  };
  // Layouts list them in this order already.
  if (!std::is_sorted(order.begin(), order.end(), before)) std::stable_sort(order.begin(), order.end(), before);

  for (size_t i = 0; i < order.size();) {
    const uint32_t file = extents[order[i]].file;
    FilePlanner planner(plan, file, alignments[file], options.writing ? sizes[file] : 0, options);
    uint64_t end = 0;
    for (; i < order.size() && extents[order[i]].file == file; ++i) {
      const Extent& extent = extents[order[i]];
      if (extent.bytes == 0) continue;
      if (options.writing && extent.file_offset < end) {
        return Status(Code::kInvalidArgument, "extents of file " + std::to_string(file) + " overlap");
      }
      end = extent.file_offset + extent.bytes;
      planner.Add(extent, order[i]);
    }
    planner.Close();
  }
  return plan;
}

}  // namespace tensor_checkpoint
