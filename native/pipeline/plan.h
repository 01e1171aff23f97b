#ifndef TENSOR_CHECKPOINT_PIPELINE_PLAN_H_
#define TENSOR_CHECKPOINT_PIPELINE_PLAN_H_

#include <cstdint>
#include <vector>

#include "io/file_system.h"
#include "pipeline/program.h"

namespace tensor_checkpoint {

// A run of bytes of one extent within a chunk. There are millions of both: chunks are far below 4 GiB.
struct Piece {
  uint8_t* memory;     // nullptr: no destination.
  uint32_t bytes;
  uint32_t at;         // Offset within the chunk.
  uint32_t tensor;
  uint32_t device;     // Row of the program's devices, or kHost.
  bool mutable_memory;
};

// What one request moves: a range of one file. Chunks of a file don't overlap when they are written, so they are
// independent of each other.
struct Chunk {
  uint32_t file;
  uint64_t offset;
  uint32_t bytes;       // With padding up to the alignment, never beyond the end of the file that is written.
  uint32_t used;        // Up to the last byte that belongs to a piece.
  uint32_t payload;     // The pieces' bytes together.
  uint32_t first_piece;
  uint32_t piece_count;
  bool staged;          // Through a staging buffer; otherwise it is exactly one piece, moved where it lies.
  bool direct;
  uint32_t device = kHost;  // Row of the first piece that lies on a device. There may be others, and host pieces too.
};

// The pieces of extent i are pieces[first_piece_of[i]] and the next piece_count_of[i] − 1, in the order of its bytes.
struct Plan {
  std::vector<Chunk> chunks;
  std::vector<Piece> pieces;
  std::vector<uint32_t> first_piece_of;
  std::vector<uint32_t> piece_count_of;
};

struct PlanOptions {
  uint32_t chunk_bytes = 4 << 20;  // A multiple of every alignment.
  // Writes only: all mutable memory goes through staging.
  bool copy = false;
  // Extents may not overlap, chunks may not reach beyond the sizes of the files.
  bool writing = true;
};

// Cuts extents into chunks, file by file in the order of their offsets. Long runs whose memory and file offset fit
// direct I/O are moved in place; short ones that lie close together share a staged chunk, in which the gaps between
// them are zeros when it is written. `sizes` only matter for writing. kInvalidArgument: extents overlap.
Result<Plan> PlanTransfer(const std::vector<Extent>& extents, const std::vector<DirectAlignment>& alignments,
                          const std::vector<uint64_t>& sizes, const PlanOptions& options);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_PLAN_H_
