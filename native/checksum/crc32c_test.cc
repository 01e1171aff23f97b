#include "checksum/crc32c.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace tensor_checkpoint {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kMaxLength = 1100;
constexpr size_t kAlignments = 64;

// The definition: one bit at a time, nothing shared with any implementation.
uint32_t Bitwise(uint32_t crc, const uint8_t* data, size_t n) {
  crc = ~crc;
  for (size_t i = 0; i < n; ++i) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
  }
  return ~crc;
}

std::vector<uint8_t> RandomBytes(size_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint8_t> bytes(n);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

// Pages between two that can't be touched: a read or write beyond either end kills the test.
class GuardedPages {
 public:
  explicit GuardedPages(size_t pages) : bytes_(pages * kPage) {
    void* const raw = mmap(nullptr, bytes_ + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(raw, MAP_FAILED);
    mapping_ = static_cast<uint8_t*>(raw);
    EXPECT_EQ(mprotect(begin(), bytes_, PROT_READ | PROT_WRITE), 0);
  }
  ~GuardedPages() { munmap(mapping_, bytes_ + 2 * kPage); }
  GuardedPages(const GuardedPages&) = delete;
  GuardedPages& operator=(const GuardedPages&) = delete;

  uint8_t* begin() const { return mapping_ + kPage; }
  uint8_t* end() const { return begin() + bytes_; }

 private:
  size_t bytes_;
  uint8_t* mapping_;
};

class Crc32cConformance : public testing::TestWithParam<Crc32cImplementation> {
 protected:
  void SetUp() override {
    if (!GetParam().supported()) GTEST_SKIP() << "this processor can't run " << GetParam().name;
  }
  static uint32_t Extend(uint32_t crc, const uint8_t* data, size_t n) { return GetParam().extend(crc, data, n); }
  static uint32_t Extend(const std::string& text) {
    return Extend(0, reinterpret_cast<const uint8_t*>(text.data()), text.size());
  }
};

TEST_P(Crc32cConformance, GivesThePublishedValues) {
  EXPECT_EQ(Extend(""), 0u);
  EXPECT_EQ(Extend("123456789"), 0xe3069283u);  // The check value of CRC-32C.
  EXPECT_EQ(Extend("a"), 0xc1d04330u);
  // RFC 3720, B.4.
  EXPECT_EQ(Extend(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Extend(std::string(32, '\xff')), 0x62a8ab43u);
  std::string ascending;
  for (char c = 0; c < 32; ++c) ascending.push_back(c);
  EXPECT_EQ(Extend(ascending), 0x46dd794eu);
  EXPECT_EQ(Extend(std::string(ascending.rbegin(), ascending.rend())), 0x113fdb5cu);
}

TEST_P(Crc32cConformance, EqualsTheDefinitionAtEveryLengthAndAlignment) {
  const std::vector<uint8_t> bytes = RandomBytes(kMaxLength + 2 * kAlignments, 1);
  const uint8_t* const aligned = bytes.data() + (-reinterpret_cast<uintptr_t>(bytes.data())) % kAlignments;
  for (size_t alignment = 0; alignment < kAlignments; ++alignment) {
    const uint8_t* const data = aligned + alignment;
    const uint32_t before = static_cast<uint32_t>(alignment * 0x9e3779b9u);
    uint32_t expected = before;
    for (size_t n = 0; n <= kMaxLength; ++n) {
      ASSERT_EQ(Extend(before, data, n), expected) << n << " bytes at alignment " << alignment;
      expected = Bitwise(expected, data + n, 1);
    }
  }
}

TEST_P(Crc32cConformance, TouchesNothingBeyondEitherEnd) {
  const GuardedPages pages(1);
  const std::vector<uint8_t> bytes = RandomBytes(kMaxLength, 2);
  uint32_t expected = 0;
  for (size_t n = 0; n <= kMaxLength; ++n) {
    std::memcpy(pages.begin(), bytes.data(), n);
    ASSERT_EQ(Extend(0, pages.begin(), n), expected) << n;
    std::memcpy(pages.end() - n, bytes.data(), n);
    ASSERT_EQ(Extend(0, pages.end() - n, n), expected) << n;
    if (n < kMaxLength) expected = Bitwise(expected, &bytes[n], 1);
  }
}

TEST_P(Crc32cConformance, CopyTouchesNothingBeyondEitherEndOfEitherSide) {
  const GuardedPages src(1);
  const GuardedPages dst(1);
  const std::vector<uint8_t> bytes = RandomBytes(kPage, 3);
  std::memcpy(src.begin(), bytes.data(), kPage);
  for (size_t n = 0; n <= kMaxLength; ++n) {
    ASSERT_EQ(GetParam().copy(0, dst.begin(), src.end() - n, n), Bitwise(0, src.end() - n, n)) << n;
    ASSERT_EQ(GetParam().copy(0, dst.end() - n, src.begin(), n), Bitwise(0, src.begin(), n)) << n;
  }
}

TEST_P(Crc32cConformance, CopiesExactlyTheBytesAtEveryLengthAndAlignment) {
  constexpr uint8_t kGuard = 0xa5;
  const std::vector<uint8_t> bytes = RandomBytes(kMaxLength + 2 * kAlignments, 4);
  const uint8_t* const aligned = bytes.data() + (-reinterpret_cast<uintptr_t>(bytes.data())) % kAlignments;
  std::vector<uint8_t> room(kMaxLength + 4 * kAlignments);
  const std::vector<uint8_t> untouched(kMaxLength + 4 * kAlignments, kGuard);
  for (size_t alignment = 0; alignment < kAlignments; ++alignment) {
    const uint8_t* const src = aligned + alignment;
    uint32_t expected = 0;
    for (size_t n = 0; n <= kMaxLength; ++n) {
      // Another alignment of the destination every time, so that over all lengths every pair is met.
      const size_t start = kAlignments + (alignment * 5 + n) % kAlignments;
      uint8_t* const dst = room.data() + start;
      std::memset(room.data(), kGuard, room.size());
      ASSERT_EQ(GetParam().copy(0, dst, src, n), expected) << n << " bytes at alignment " << alignment;
      ASSERT_EQ(std::memcmp(dst, src, n), 0) << n << " bytes at alignment " << alignment;
      ASSERT_EQ(std::memcmp(room.data(), untouched.data(), start), 0) << n << " bytes at alignment " << alignment;
      ASSERT_EQ(std::memcmp(dst + n, untouched.data(), room.size() - start - n), 0) << n << " at " << alignment;
      expected = Bitwise(expected, src + n, 1);
    }
  }
}

TEST_P(Crc32cConformance, CopiesExactlyTheBytesOfLongRunsAtEveryAlignment) {
  constexpr uint8_t kGuard = 0xa5;
  constexpr size_t kLongest = 40000;
  const std::vector<uint8_t> bytes = RandomBytes(kLongest + kAlignments, 15);
  std::vector<uint8_t> room(kLongest + 4 * kAlignments);
  const std::vector<uint8_t> untouched(room.size(), kGuard);
  std::mt19937 random(16);
  for (size_t alignment = 0; alignment < kAlignments; ++alignment) {
    for (const size_t n : {size_t{10239}, size_t{16383}, size_t{16384}, 16385 + random() % 600, kLongest}) {
      const size_t start = kAlignments + alignment;
      const uint8_t* const src = bytes.data() + random() % kAlignments;
      std::memset(room.data(), kGuard, room.size());
      ASSERT_EQ(GetParam().copy(7, room.data() + start, src, n), Bitwise(7, src, n)) << n << " at " << alignment;
      ASSERT_EQ(std::memcmp(room.data() + start, src, n), 0) << n << " at " << alignment;
      ASSERT_EQ(std::memcmp(room.data(), untouched.data(), start), 0) << n << " at " << alignment;
      ASSERT_EQ(std::memcmp(room.data() + start + n, untouched.data(), room.size() - start - n), 0) << n;
    }
  }
}

TEST_P(Crc32cConformance, EqualsTheDefinitionForLargeSizes) {
  const std::vector<uint8_t> bytes = RandomBytes((size_t{4} << 20) + 4096, 5);
  std::vector<uint8_t> copy(bytes.size());
  std::mt19937 random(6);
  for (const size_t n : {size_t{2047}, size_t{4096}, size_t{65536}, size_t{65537}, (size_t{1} << 20) - 1,
                         size_t{1} << 20, (size_t{4} << 20) + 13}) {
    const size_t start = random() % 4000;
    const uint32_t before = random();
    const uint32_t expected = Bitwise(before, bytes.data() + start, n);
    EXPECT_EQ(Extend(before, bytes.data() + start, n), expected) << n;
    EXPECT_EQ(GetParam().copy(before, copy.data(), bytes.data() + start, n), expected) << n;
    EXPECT_EQ(std::memcmp(copy.data(), bytes.data() + start, n), 0) << n;
  }
}

TEST_P(Crc32cConformance, ContinuesWhereItStopped) {
  const std::vector<uint8_t> bytes = RandomBytes(100000, 7);
  const uint32_t whole = Bitwise(0, bytes.data(), bytes.size());
  std::mt19937 random(8);
  for (int round = 0; round < 50; ++round) {
    uint32_t crc = 0;
    for (size_t position = 0; position < bytes.size();) {
      const size_t n = std::min<size_t>(random() % 20000, bytes.size() - position);
      crc = Extend(crc, bytes.data() + position, n);
      position += n;
    }
    ASSERT_EQ(crc, whole);
  }
}

TEST_P(Crc32cConformance, FindsEveryFlippedBit) {
  std::vector<uint8_t> bytes = RandomBytes(1500, 9);
  const uint32_t whole = Extend(0, bytes.data(), bytes.size());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    ASSERT_NE(Extend(0, bytes.data(), bytes.size()), whole) << "bit " << bit;
    bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
  }
}

// Under ThreadSanitizer this would be what it is: a race. It is one that users can cause, and must survive.
#ifndef __SANITIZE_THREAD__
TEST_P(Crc32cConformance, CopySumsWhatArrivedWhileTheSourceChanges) {
  constexpr size_t kBytes = size_t{256} << 10;
  std::vector<uint8_t> src = RandomBytes(kBytes, 10);
  std::vector<uint8_t> dst(kBytes);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (uint8_t value = 0; !stop.load(); ++value) {
      for (size_t i = 0; i < kBytes; i += 61) static_cast<volatile uint8_t*>(src.data())[i] = value;
    }
  });
  for (int round = 0; round < 200; ++round) {
    const uint32_t crc = GetParam().copy(0, dst.data(), src.data(), kBytes);
    ASSERT_EQ(crc, Crc32c(0, dst.data(), kBytes)) << "round " << round;
  }
  stop.store(true);
  writer.join();
}
#endif

INSTANTIATE_TEST_SUITE_P(All, Crc32cConformance,
                         testing::ValuesIn(Crc32cImplementations().begin(), Crc32cImplementations().end()),
                         [](const testing::TestParamInfo<Crc32cImplementation>& info) {
                           std::string name;
                           for (const char* c = info.param.name; *c != '\0'; ++c) {
                             if (std::isalnum(static_cast<unsigned char>(*c))) name.push_back(*c);
                           }
                           return name;
                         });

TEST(Crc32c, ListsAPortableImplementationLast) {
  ASSERT_FALSE(Crc32cImplementations().empty());
  EXPECT_STREQ(Crc32cImplementations().back().name, "portable");
  EXPECT_TRUE(Crc32cImplementations().back().supported());
}

TEST(Crc32c, ChoosesTheFirstSupportedImplementationAndStaysWithIt) {
  const Crc32cImplementation* expected = nullptr;
  for (const Crc32cImplementation& implementation : Crc32cImplementations()) {
    if (expected == nullptr && implementation.supported()) expected = &implementation;
  }
  std::vector<const Crc32cImplementation*> chosen(8);
  {
    std::vector<std::jthread> threads;
    for (auto& slot : chosen) threads.emplace_back([&slot] { slot = &ActiveCrc32c(); });
  }
  for (const auto* active : chosen) EXPECT_EQ(active, expected);
}

TEST(Crc32c, ExtendsAndCopiesWithTheChosenImplementation) {
  const std::vector<uint8_t> bytes = RandomBytes(10000, 11);
  std::vector<uint8_t> copy(bytes.size());
  const uint32_t expected = Bitwise(17, bytes.data(), bytes.size());
  EXPECT_EQ(Crc32c(17, bytes.data(), bytes.size()), expected);
  EXPECT_EQ(Crc32cCopy(17, copy.data(), bytes.data(), bytes.size()), expected);
  EXPECT_EQ(copy, bytes);
}

TEST(Crc32c, CombinesTheChecksumsOfParts) {
  const std::vector<uint8_t> bytes = RandomBytes(300000, 12);
  std::mt19937 random(13);
  for (int round = 0; round < 2000; ++round) {
    const size_t start = random() % bytes.size();
    const size_t n = random() % (bytes.size() - start + 1);
    const size_t split = n == 0 ? 0 : random() % (n + 1);
    const uint8_t* const data = bytes.data() + start;
    ASSERT_EQ(Crc32cCombine(Crc32c(0, data, split), Crc32c(0, data + split, n - split), n - split),
              Crc32c(0, data, n))
        << n << " split at " << split;
  }
}

TEST(Crc32c, CombinesWithNothingOnEitherSide) {
  EXPECT_EQ(Crc32cCombine(0x12345678, 0, 0), 0x12345678u);
  EXPECT_EQ(Crc32cCombine(0, 0x12345678, 99), 0x12345678u);
}

TEST(Crc32c, CombinesLengthsBeyondWhatFitsInMemory) {
  // The checksum of 2^k zero bytes, doubled up to 2^63, once from the left and once from the right.
  const uint8_t zero = 0;
  uint32_t zeros = Bitwise(0, &zero, 1);
  std::vector<uint32_t> of_power{zeros};
  for (int k = 1; k < 64; ++k) {
    zeros = Crc32cCombine(zeros, zeros, uint64_t{1} << (k - 1));
    of_power.push_back(zeros);
  }
  const std::vector<uint8_t> megabyte(size_t{1} << 20);
  EXPECT_EQ(of_power[20], Crc32c(0, megabyte.data(), megabyte.size()));
  for (int k = 1; k < 63; ++k) {
    const uint64_t length = uint64_t{1} << k;
    // (1 + 2^k) zeros equal (2^k + 1) zeros.
    EXPECT_EQ(Crc32cCombine(of_power[0], of_power[k], length), Crc32cCombine(of_power[k], of_power[0], 1)) << k;
  }
}

TEST(Crc32c, MasksAsLevelDbDoes) {
  EXPECT_EQ(MaskCrc32c(0), 0xa282ead8u);
  // Rotated right by 15 bits, plus the constant, modulo 2^32.
  EXPECT_EQ(MaskCrc32c(0xe3069283u), 0xc78ab0e5u);
  std::mt19937 random(14);
  for (int round = 0; round < 1000; ++round) {
    const uint32_t crc = random();
    EXPECT_EQ(UnmaskCrc32c(MaskCrc32c(crc)), crc);
    EXPECT_NE(MaskCrc32c(crc), crc);
    EXPECT_NE(MaskCrc32c(MaskCrc32c(crc)), crc);
  }
}

}  // namespace
}  // namespace tensor_checkpoint
