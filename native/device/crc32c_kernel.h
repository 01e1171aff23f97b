#ifndef TENSOR_CHECKPOINT_DEVICE_CRC32C_KERNEL_H_
#define TENSOR_CHECKPOINT_DEVICE_CRC32C_KERNEL_H_

// What the checksum kernel (crc32c_kernel.cu) and whoever launches it must agree on. Plain C++ without includes: nvcc
// compiles it too.
//
// One launch sums any number of ranges. Parameters, all in device memory but the last:
//   const unsigned long long* addresses   of each range, any alignment
//   const unsigned long long* bytes       of each range, zero included
//   const unsigned long long* first_tile  ranges + 1 entries: the tiles of the ranges before; the last is their number
//   unsigned*                 crc         one a range; zeros when the kernel starts, the CRC-32C when it has ended
//   unsigned                  ranges
// Blocks: Crc32cKernel::kThreads threads, no dynamic shared memory; as many as pay off, at most one a tile.
namespace tensor_checkpoint {

struct Crc32cKernel {
  static constexpr char kName[] = "tensor_checkpoint_crc32c";
  static constexpr unsigned kThreads = 256;
  // The bytes that a block reads at a time, 16 a thread.
  static constexpr unsigned kRowBytes = kThreads * 16;
  // The unit of work of a block. Ranges are cut into tiles that start at multiples of this from their first byte.
  static constexpr unsigned kTileBytes = 128 * 1024;
  // Blocks that every multiprocessor since sm_75 holds at a time: 1024 threads, at most 64 registers each.
  static constexpr unsigned kBlocksPerMultiprocessor = 4;

  static constexpr unsigned long long Tiles(unsigned long long bytes) { return (bytes + kTileBytes - 1) / kTileBytes; }
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_DEVICE_CRC32C_KERNEL_H_
