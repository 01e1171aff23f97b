// CRC-32C of ranges of device memory. crc32c_kernel.h says how it is launched; scripts/build-ptx.mjs compiles it into
// crc32c_ptx.cc. The same source is compiled for the host by the tests, where a block's threads are a loop: so there is
// nothing between two barriers that one thread would need of another, and EACH_THREAD is the only way to a thread.
//
// How it works. Checksums are polynomials over GF(2) modulo P: the CRC of a message of words w is
// Σ w_i · x^(32·(words behind w_i)) · x^32. A block reads rows of 4096 bytes, thread t the 16 bytes at 16·t of each row,
// which is coalesced. Each of a thread's four 32-bit words has a sum of its own: per row, sum ← sum · x^(8·4096) + word.
// Multiplying by that constant is linear, so four tables of 256 entries in shared memory do it, one for each byte: four
// look-ups for four bytes. The sums don't depend on each other, so that loads and look-ups overlap. At the end of a tile
// each sum is moved to its place (multiplied by x^(8·bytes behind it)) and all are added: blocks work without knowing of
// each other, and the order of their atomic additions does not matter.
//
// What it costs: 16 look-ups a 16-byte word. A warp's 32 random look-ups in 32 banks take about 3.5 cycles, so that
// 512 bytes take about 56 cycles of a multiprocessor's shared memory: about 9 bytes a cycle, 130 × 1.7 GHz × 9 ≈ 2 TB/s on
// 130 multiprocessors. PCIe brings 60 GB/s at most. (An estimate: it has not been measured on a device.)
#include "crc32c_kernel.h"

#ifdef __CUDACC__
#define EACH_THREAD(t) if (const unsigned t = threadIdx.x; true)
#define BARRIER __syncthreads()
#endif

namespace tensor_checkpoint {
namespace {

using u32 = unsigned;
using u64 = unsigned long long;

// Bit-reversed, as everywhere here: bit 31 is x^0.
constexpr u32 kPolynomial = 0x82F63B78u;
constexpr u32 kOne = 0x80000000u;
// x^(2^31 − 1) = 1: P is x + 1 times a primitive polynomial of degree 31. Exponents count modulo this.
constexpr u64 kOrder = 0x7FFFFFFFu;

// a · b mod P.
__host__ __device__ constexpr u32 Multiply(u32 a, u32 b) {
  u32 product = 0;
  // Unrolled in full at each of its places it would make the kernel ten times as long, for nothing: the time is elsewhere.
#ifdef __CUDACC__
#pragma unroll 4
#endif
  for (int bit = 31; bit >= 0; --bit) {
    product ^= b & (0u - ((a >> bit) & 1u));
    b = (b >> 1) ^ (kPolynomial & (0u - (b & 1u)));
  }
  return product;
}

// x^n mod P for the constants.
__host__ __device__ constexpr u32 PowerOfX(u64 n) {
  u32 result = kOne;
  u32 square = kOne >> 1;
  for (; n != 0; n >>= 1) {
    if ((n & 1) != 0) result = Multiply(square, result);
    square = Multiply(square, square);
  }
  return result;
}

struct Squares {
  u32 of[32];
};

__host__ __device__ constexpr Squares MakeSquares() {
  Squares squares{};
  u32 square = kOne >> 1;
  for (int i = 0; i < 32; ++i) {
    squares.of[i] = square;
    square = Multiply(square, square);
  }
  return squares;
}

constexpr u32 kThreads = Crc32cKernel::kThreads;
constexpr u32 kRowBytes = Crc32cKernel::kRowBytes;
constexpr u32 kNextRow = PowerOfX(8ull * kRowBytes);
constexpr u32 kNextWord = PowerOfX(32);
// x^(2^i).
__constant__ constexpr Squares kSquares = MakeSquares();

struct Shared {
  u32 next_row[4][256];    // [k][b]: b · x^(8·k) moved one row on.
  u32 weight[kThreads];    // Of each thread's last word, behind which the row goes on; times x^32.
  u32 sum[kThreads];
  u32 factor[2][32];       // Of the tile, and of the initial value.
  u32 range;               // The tile at work:
  u64 from;
  u64 to;
  u64 range_end;
};

__device__ inline u32 MoveRow(const Shared& shared, u32 sum) {
  return shared.next_row[0][sum & 255] ^ shared.next_row[1][(sum >> 8) & 255] ^
         shared.next_row[2][(sum >> 16) & 255] ^ shared.next_row[3][sum >> 24];
}

#ifdef __CUDACC__
__device__ inline void Load(u64 address, u32 (&word)[4]) {
  // Read once: it shall not drive other data out of the caches.
  const uint4 loaded = __ldcs(reinterpret_cast<const uint4*>(address));
  word[0] = loaded.x;
  word[1] = loaded.y;
  word[2] = loaded.z;
  word[3] = loaded.w;
}

__device__ inline u32 LoadByte(u64 address) { return *reinterpret_cast<const unsigned char*>(address); }
#endif

// The 16 bytes at `address`, zeros outside of [from, to).
__device__ inline void LoadEdge(u64 address, u64 from, u64 to, u32 (&word)[4]) {
  if (address >= from && address + 16 <= to) {
    Load(address, word);
    return;
  }
  for (u32 i = 0; i < 4; ++i) word[i] = 0;
  for (u32 i = 0; i < 16; ++i) {
    if (address + i >= from && address + i < to) word[i / 4] |= LoadByte(address + i) << (8 * (i % 4));
  }
}

__device__ inline void AddRow(const Shared& shared, const u32 (&word)[4], u32 (&sum)[4]) {
  for (u32 i = 0; i < 4; ++i) sum[i] = MoveRow(shared, sum[i]) ^ word[i];
}

// Where a tile's rows begin: they end at the 16-byte boundary behind it. Zeros in front change no checksum (the initial
// value is added separately), those behind are taken back by multiplying with the inverse.
__device__ inline u64 PaddedEnd(u64 to) { return (to + 15) & ~15ull; }

__device__ inline u32 SumOfThread(const Shared& shared, u32 thread) {
  const u64 from = shared.from;
  const u64 to = shared.to;
  const u64 end = PaddedEnd(to);
  const u64 rows = (end - (from & ~15ull) + kRowBytes - 1) / kRowBytes;
  u64 address = end - rows * kRowBytes + 16 * thread;
  u32 sum[4] = {0, 0, 0, 0};
  u32 word[4];
  LoadEdge(address, from, to, word);
  AddRow(shared, word, sum);
  // All but the first and the last row lie inside the tile.
#ifdef __CUDACC__
#pragma unroll 4
#endif
  for (u64 row = 1; row + 1 < rows; ++row) {
    Load(address + row * kRowBytes, word);
    AddRow(shared, word, sum);
  }
  if (rows > 1) {
    LoadEdge(address + (rows - 1) * kRowBytes, from, to, word);
    AddRow(shared, word, sum);
  }
  u32 all = sum[0];
  for (u32 i = 1; i < 4; ++i) all = Multiply(kNextWord, all) ^ sum[i];
  return Multiply(shared.weight[thread], all);
}

// The exponent of x that moves a value by `bytes`, less those of padding.
__device__ inline u64 Exponent(u64 bytes, u64 padding) { return (bytes % kOrder * 8 + (kOrder - padding * 8)) % kOrder; }

}  // namespace
}  // namespace tensor_checkpoint

extern "C" __global__ void __launch_bounds__(256, 4)
    tensor_checkpoint_crc32c(const unsigned long long* addresses, const unsigned long long* bytes,
                             const unsigned long long* first_tile, unsigned* crc, unsigned ranges) {
  using namespace tensor_checkpoint;
  __shared__ Shared shared;
  EACH_THREAD(t) {
    for (u32 entry = t; entry < 1024; entry += kThreads) {
      shared.next_row[entry / 256][entry % 256] = Multiply(kNextRow, (entry % 256) << (entry / 256 * 8));
    }
    u32 weight = kNextWord;
    const u32 behind = 8 * (kRowBytes - 16 * (t + 1));
    for (u32 bit = 0; behind >> bit != 0; ++bit) {
      if ((behind >> bit & 1) != 0) weight = Multiply(kSquares.of[bit], weight);
    }
    shared.weight[t] = weight;
  }
  BARRIER;
  const u64 tiles = first_tile[ranges];
  for (u64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    EACH_THREAD(t) {
      if (t == 0) {
        // The last range that starts at or before this tile; empty ranges have none and are passed over.
        u32 low = 0;
        for (u32 high = ranges; high - low > 1;) {
          const u32 middle = low + (high - low) / 2;
          if (first_tile[middle] <= tile) {
            low = middle;
          } else {
            high = middle;
          }
        }
        const u64 end = addresses[low] + bytes[low];
        const u64 from = addresses[low] + (tile - first_tile[low]) * Crc32cKernel::kTileBytes;
        shared.range = low;
        shared.from = from;
        shared.to = end - from > Crc32cKernel::kTileBytes ? from + Crc32cKernel::kTileBytes : end;
        shared.range_end = end;
      }
    }
    BARRIER;
    EACH_THREAD(t) {
      shared.sum[t] = SumOfThread(shared, t);
      if (t < 64) {
        // x^exponent is a product of squares; the factors of the others are 1.
        const u64 behind = shared.range_end - shared.to;
        const u64 exponent = t < 32 ? Exponent(behind, PaddedEnd(shared.to) - shared.to)
                                    : Exponent(shared.range_end - shared.from, 0);
        shared.factor[t / 32][t % 32] = (exponent >> (t % 32) & 1) != 0 ? kSquares.of[t % 32] : kOne;
      }
    }
    BARRIER;
    for (u32 half = kThreads / 2; half > 0; half /= 2) {
      EACH_THREAD(t) {
        if (t < half) shared.sum[t] ^= shared.sum[t + half];
        if (half <= 16 && t < 2 * half) {
          u32* const factor = shared.factor[t / half];
          factor[t % half] = Multiply(factor[t % half], factor[t % half + half]);
        }
      }
      BARRIER;
    }
    EACH_THREAD(t) {
      if (t == 0) {
        u32 value = Multiply(shared.factor[0][0], shared.sum[0]);
        // The range's first tile brings the initial value, and the inversion at the end.
        if (tile == first_tile[shared.range]) value ^= Multiply(shared.factor[1][0], 0xFFFFFFFFu) ^ 0xFFFFFFFFu;
        atomicXor(&crc[shared.range], value);
      }
    }
    BARRIER;
  }
}
