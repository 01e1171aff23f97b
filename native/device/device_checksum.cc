#include "device/device_checksum.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <utility>

#include "device/crc32c_kernel.h"
#include "device/crc32c_ptx.h"

namespace tensor_checkpoint {
namespace {

constexpr size_t kSmallestTables = 64 << 10;

}  // namespace

Result<std::shared_ptr<DeviceChecksum>> DeviceChecksum::Load(std::shared_ptr<const CudaContext> context, PinnedPool& pinned) {
  std::shared_ptr<DeviceChecksum> made(new DeviceChecksum(std::move(context), pinned));
  const CudaContext& c = *made->context_;
  CurrentContext current(c);
  if (!current.status().ok()) return current.status();
  Status status = c.Check(c.call().cuModuleLoadData(&made->module_, kCrc32cPtx), "cuModuleLoadData", "the checksum kernel");
  if (!status.ok()) {
    made->module_ = nullptr;
    return status;
  }
  status = c.Check(c.call().cuModuleGetFunction(&made->function_, made->module_, Crc32cKernel::kName), "cuModuleGetFunction");
  if (!status.ok()) return status;
  int multiprocessors = 1;
  status = c.Check(c.call().cuDeviceGetAttribute(&multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, c.device()),
                   "cuDeviceGetAttribute");
  if (!status.ok()) return status;
  made->most_blocks_ = static_cast<unsigned>(std::max(multiprocessors, 1)) * Crc32cKernel::kBlocksPerMultiprocessor;
  return made;
}

DeviceChecksum::~DeviceChecksum() {
  if (module_ == nullptr) return;
  ReleaseIn(*context_, [this](const CudaFunctions& call) { (void)call.cuModuleUnload(module_); });
}

DeviceChecksum::Job::~Job() {
  std::lock_guard lock(owner_.mutex_);
  if (!tables_.empty()) owner_.idle_.push_back(std::move(tables_));
}

void DeviceChecksum::Job::Deliver() const {
  const uint8_t* const results = host() + results_at_;
  for (size_t i = 0; i < ranges_.size(); ++i) std::memcpy(ranges_[i].crc, results + 4 * i, 4);
}

Result<std::unique_ptr<DeviceChecksum::Job>> DeviceChecksum::Enqueue(CUstream stream, std::vector<Range> ranges) {
  std::unique_ptr<Job> job(new Job(*this));
  job->ranges_ = std::move(ranges);
  const size_t count = job->ranges_.size();
  job->results_at_ = 8 * (3 * count + 1);
  const size_t bytes = job->results_at_ + 4 * count;
  Status status = TakeMemory(*job, bytes);
  if (!status.ok()) return status;

  uint8_t* const host = job->host();
  auto* const addresses = reinterpret_cast<unsigned long long*>(host);
  auto* const lengths = addresses + count;
  auto* const first_tile = lengths + count;
  first_tile[0] = 0;
  for (size_t i = 0; i < count; ++i) {
    addresses[i] = job->ranges_[i].address;
    lengths[i] = job->ranges_[i].bytes;
    first_tile[i + 1] = first_tile[i] + Crc32cKernel::Tiles(lengths[i]);
  }
  std::memset(host + job->results_at_, 0, 4 * count);
  const auto tiles = static_cast<unsigned>(std::min<unsigned long long>(first_tile[count], most_blocks_));

  const CudaFunctions& call = context_->call();
  const CUdeviceptr tables = job->tables_.address();
  status = context_->Check(call.cuMemcpyHtoDAsync(tables, host, bytes, stream), "cuMemcpyHtoDAsync", "the checksum's tables");
  if (status.ok() && tiles > 0) status = Launch(*job, stream, tiles);
  if (status.ok()) {
    status = context_->Check(call.cuMemcpyDtoHAsync(host + job->results_at_, tables + job->results_at_, 4 * count, stream),
                             "cuMemcpyDtoHAsync", "checksums");
  }
  if (status.ok()) return job;
  // What was enqueued may still be at work on the job's memory.
  (void)call.cuStreamSynchronize(stream);
  return status;
}

void DeviceChecksum::Trim() {
  std::vector<DeviceBuffer> freed;
  std::lock_guard lock(mutex_);
  freed.swap(idle_);
}

Status DeviceChecksum::TakeMemory(Job& job, size_t bytes) {
  const size_t size = std::bit_ceil(std::max(bytes, kSmallestTables));
  {
    std::lock_guard lock(mutex_);
    const auto found = std::find_if(idle_.begin(), idle_.end(), [&](const DeviceBuffer& b) { return b.size() >= bytes; });
    if (found != idle_.end()) {
      job.tables_ = std::move(*found);
      idle_.erase(found);
    }
  }
  if (job.tables_.empty()) {
    auto tables = DeviceBuffer::Allocate(context_, size);
    if (!tables.ok()) return tables.status();
    job.tables_ = std::move(*tables);
  }
  auto locked = pinned_.Take(context_, size);
  if (locked.ok()) {
    job.locked_ = std::move(*locked);
    return Status::Ok();
  }
  if (!PinnedPool::IsLimit(locked.status())) return locked.status();
  job.unlocked_ = AlignedBuffer::Allocate(size);
  return job.unlocked_.empty() ? locked.status() : Status::Ok();
}

Status DeviceChecksum::Launch(const Job& job, CUstream stream, unsigned blocks) {
  const CUdeviceptr tables = job.tables_.address();
  auto count = static_cast<unsigned>(job.ranges_.size());
  CUdeviceptr addresses = tables, lengths = addresses + 8 * count, first_tile = lengths + 8 * count;
  CUdeviceptr results = tables + job.results_at_;
  void* parameters[] = {&addresses, &lengths, &first_tile, &results, &count};
  return context_->Check(context_->call().cuLaunchKernel(function_, blocks, 1, 1, Crc32cKernel::kThreads, 1, 1, 0, stream,
                                                         parameters, nullptr),
                         "cuLaunchKernel", "the checksum");
}

}  // namespace tensor_checkpoint
