#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "checksum/crc32c.h"
#include "device/crc32c_kernel.h"
#include "device/crc32c_ptx.h"
#include "standin-cuda/fixture_for_test.h"

// The kernel's own source, launched through the driver API: on the stand-in it runs on the host.
namespace tensor_checkpoint {
namespace {

struct Range {
  uint64_t offset;
  uint64_t bytes;
};

class Crc32cKernelTest : public StandinTest {
 protected:
  void SetUp() override {
    StandinTest::SetUp();
    ASSERT_EQ(call_.cuModuleLoadData(&module_, kCrc32cPtx), CUDA_SUCCESS);
    ASSERT_EQ(call_.cuModuleGetFunction(&kernel_, module_, Crc32cKernel::kName), CUDA_SUCCESS);
  }
  void TearDown() override {
    call_.cuModuleUnload(module_);
    StandinTest::TearDown();
  }

  // The kernel's checksums of ranges of `data`.
  std::vector<uint32_t> Sum(const std::vector<uint8_t>& data, const std::vector<Range>& ranges, unsigned blocks) {
    const CUdeviceptr memory = Allocate(data.size());
    EXPECT_TRUE(standin_.Write(memory, data.data(), data.size()));
    std::vector<uint64_t> table;
    for (const Range& range : ranges) table.push_back(memory + range.offset);
    for (const Range& range : ranges) table.push_back(range.bytes);
    uint64_t tiles = 0;
    for (const Range& range : ranges) {
      table.push_back(tiles);
      tiles += Crc32cKernel::Tiles(range.bytes);
    }
    table.push_back(tiles);
    const size_t crc_at = table.size() * 8;
    table.resize(table.size() + (ranges.size() + 1) / 2);  // The checksums, zeros.
    CUdeviceptr addresses = Allocate(table.size() * 8);
    EXPECT_TRUE(standin_.Write(addresses, table.data(), table.size() * 8));
    CUdeviceptr bytes = addresses + ranges.size() * 8;
    CUdeviceptr first_tile = bytes + ranges.size() * 8;
    CUdeviceptr crc = addresses + crc_at;
    auto count = static_cast<unsigned>(ranges.size());
    void* parameters[] = {&addresses, &bytes, &first_tile, &crc, &count};
    EXPECT_EQ(call_.cuLaunchKernel(kernel_, blocks, 1, 1, Crc32cKernel::kThreads, 1, 1, 0, nullptr, parameters, nullptr),
              CUDA_SUCCESS);
    EXPECT_EQ(call_.cuStreamSynchronize(nullptr), CUDA_SUCCESS);
    std::vector<uint32_t> sums(ranges.size());
    EXPECT_TRUE(standin_.Read(crc, sums.data(), sums.size() * 4));
    call_.cuMemFree(addresses);
    call_.cuMemFree(memory);
    return sums;
  }

  void ExpectAsOnHost(const std::vector<uint8_t>& data, const std::vector<Range>& ranges, unsigned blocks) {
    const std::vector<uint32_t> sums = Sum(data, ranges, blocks);
    for (size_t i = 0; i < ranges.size(); ++i) {
      ASSERT_EQ(sums[i], Crc32c(0, data.data() + ranges[i].offset, ranges[i].bytes))
          << ranges[i].bytes << " bytes at " << ranges[i].offset << " of " << data.size();
    }
  }

  static std::vector<uint8_t> RandomBytes(size_t count) {
    std::mt19937_64 random(20240229);
    std::vector<uint8_t> bytes(count);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    return bytes;
  }

  CUmodule module_ = nullptr;
  CUfunction kernel_ = nullptr;
};

TEST_F(Crc32cKernelTest, GivesTheKnownValue) {
  const std::vector<uint8_t> check = {'1', '2', '3', '4', '5', '6', '7', '8', '9'};
  EXPECT_EQ(Sum(check, {{0, 9}}, 1)[0], 0xE3069283u);
}

TEST_F(Crc32cKernelTest, AgreesWithTheHostForEveryShortLengthAndAlignment) {
  const auto data = RandomBytes(600);
  std::vector<Range> ranges;
  for (uint64_t offset = 0; offset < 17; ++offset) {
    for (uint64_t bytes = 0; bytes <= 130; ++bytes) ranges.push_back({offset, bytes});
  }
  ExpectAsOnHost(data, ranges, 7);
}

TEST_F(Crc32cKernelTest, AgreesWithTheHostAroundEveryBoundary) {
  constexpr uint64_t kTile = Crc32cKernel::kTileBytes;
  const auto data = RandomBytes(3 * kTile + 64);
  std::vector<Range> ranges;
  for (const uint64_t edge : {uint64_t{Crc32cKernel::kRowBytes}, 2 * uint64_t{Crc32cKernel::kRowBytes}, kTile, 2 * kTile,
                              3 * kTile}) {
    for (const uint64_t offset : {0, 1, 8, 15, 16}) {
      for (const int difference : {-17, -16, -1, 0, 1, 15, 16, 17}) {
        ranges.push_back({offset, edge + static_cast<uint64_t>(difference)});
      }
    }
  }
  ExpectAsOnHost(data, ranges, 5);
}

TEST_F(Crc32cKernelTest, AgreesWithTheHostForRandomRangesHoweverManyBlocks) {
  const auto data = RandomBytes(2'000'000);
  std::mt19937_64 random(7);
  std::vector<Range> ranges;
  for (int i = 0; i < 40; ++i) {
    const uint64_t bytes = i % 5 == 0 ? 0 : random() % 400'000;
    ranges.push_back({random() % (data.size() - bytes), bytes});
  }
  for (const unsigned blocks : {1u, 3u, 1000u}) ExpectAsOnHost(data, ranges, blocks);
}

TEST_F(Crc32cKernelTest, TheModuleIsRefusedWhereItsVersionIsTooNew) {
  CUmodule module = nullptr;
  std::string ptx = kCrc32cPtx;
  ptx.replace(ptx.find(".version 7.0"), 12, ".version 9.0");
  EXPECT_EQ(call_.cuModuleLoadData(&module, ptx.c_str()), CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  EXPECT_EQ(call_.cuModuleLoadData(&module, "no PTX at all"), CUDA_ERROR_INVALID_PTX);
  CUfunction function = nullptr;
  EXPECT_EQ(call_.cuModuleGetFunction(&function, module_, "no_such_kernel"), CUDA_ERROR_NOT_FOUND);
}

}  // namespace
}  // namespace tensor_checkpoint
