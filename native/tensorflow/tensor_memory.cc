#include "tensorflow/tensor_memory.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <span>

namespace tensor_checkpoint {
namespace {

constexpr size_t kWords = 12;
constexpr int kAttempts = 3;

alignas(64) char probe_memory[64];
alignas(64) char other_memory[64];

void ProbeDeallocator(void*, size_t, void*) {}

// Reads whole words until the first that isn't readable; gives how many were.
size_t ReadWords(uintptr_t address, std::span<uintptr_t> words) {
  if (address == 0 || address % sizeof(uintptr_t) != 0) return 0;
  const iovec local{words.data(), words.size_bytes()};
  const iovec remote{reinterpret_cast<void*>(address), words.size_bytes()};
  ssize_t read = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
  // The kernel gives all or nothing of one piece that lies within a page that isn't there.
  for (size_t fewer = words.size() - 1; read < 0 && fewer > 0; --fewer) {
    const iovec shorter{reinterpret_cast<void*>(address), fewer * sizeof(uintptr_t)};
    read = process_vm_readv(getpid(), &local, 1, &shorter, 1, 0);
  }
  return read < 0 ? 0 : static_cast<size_t>(read) / sizeof(uintptr_t);
}

TF_Tensor* NewProbe(const TensorFlowApi& api, char* memory, size_t bytes) {
  const int64_t dims[] = {static_cast<int64_t>(bytes)};
  return api.TF_NewTensor(kTfUint8, dims, 1, memory, bytes, ProbeDeallocator, nullptr);
}

bool CanReadSafely() {
  const uintptr_t expected = 0x7465736f72;
  uintptr_t read = 0;
  return ReadWords(reinterpret_cast<uintptr_t>(&expected), {&read, 1}) == 1 && read == expected;
}

}  // namespace

Result<TensorMemory> TensorMemory::Learn(const TensorFlowApi& api) {
  if (!CanReadSafely()) {
    return Status(Code::kUnsupported, "this system doesn't let a process look at its own memory (process_vm_readv)");
  }
  // Words that aren't set may point to anything, to the arguments of the call as well: each candidate is tried. And tried
  // again: that the system once doesn't read a page, or that memory is short, says nothing of the layout.
  TensorMemory learnt;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    for (size_t at = 0; at < kWords; ++at) {
      if (learnt.LearnLayout(api, at) && learnt.LearnCopies(api) && learnt.IsRight(api)) return learnt;
    }
  }
  return Status(Code::kUnsupported, "the layout of this TensorFlow's tensors is not known");
}

size_t TensorMemory::ReadBuffer(const TF_Tensor* tensor, std::span<uintptr_t> words) const {
  uintptr_t interface = 0;
  uintptr_t buffer = 0;
  if (ReadWords(reinterpret_cast<uintptr_t>(tensor), {&interface, 1}) != 1) return 0;
  if (ReadWords(interface + buffer_at_ * sizeof(uintptr_t), {&buffer, 1}) != 1) return 0;
  return ReadWords(buffer, words);
}

bool TensorMemory::LearnLayout(const TensorFlowApi& api, size_t at) {
  buffer_at_ = at;
  TF_Tensor* tensor = NewProbe(api, probe_memory, sizeof probe_memory);
  if (tensor == nullptr) return false;
  uintptr_t buffer[kWords];
  const auto readable = std::span(buffer, ReadBuffer(tensor, buffer));
  const auto data = std::find(readable.begin(), readable.end(), reinterpret_cast<uintptr_t>(probe_memory));
  const auto deallocator =
      std::find(readable.begin(), readable.end(), reinterpret_cast<uintptr_t>(&ProbeDeallocator));
  const bool found = data != readable.end() && deallocator != readable.end();
  if (found) {
    data_at_ = static_cast<size_t>(data - readable.begin());
    deallocator_at_ = static_cast<size_t>(deallocator - readable.begin());
    callers_class_ = buffer[0];
  }
  api.TF_DeleteTensor(tensor);
  // The class comes first in an object with virtual functions.
  return found && data_at_ > 0 && deallocator_at_ > 0 && callers_class_ != 0;
}

bool TensorMemory::LearnCopies(const TensorFlowApi& api) {
  // Not aligned, so that TensorFlow copies it, into memory with a deallocator of its own.
  TF_Tensor* tensor = NewProbe(api, probe_memory + 1, sizeof probe_memory - 1);
  if (tensor == nullptr) return false;
  uintptr_t buffer[kWords];
  const size_t words = ReadBuffer(tensor, buffer);
  const void* data = api.TF_TensorData(tensor);
  const bool copied = words > data_at_ && data != probe_memory + 1 && buffer[data_at_] == reinterpret_cast<uintptr_t>(data);
  trusted_.clear();
  if (copied && words > deallocator_at_ && buffer[0] == callers_class_) trusted_.push_back(buffer[deallocator_at_]);
  api.TF_DeleteTensor(tensor);
  return copied;
}

bool TensorMemory::IsRight(const TensorFlowApi& api) const {
  // Another memory, while a first tensor is still there: what was found must have followed.
  TF_Tensor* first = NewProbe(api, probe_memory, sizeof probe_memory);
  TF_Tensor* second = NewProbe(api, other_memory, sizeof other_memory);
  const auto shows = [&](const TF_Tensor* tensor, const char* memory) {
    uintptr_t buffer[kWords];
    return tensor != nullptr && ReadBuffer(tensor, buffer) > std::max(data_at_ + 1, deallocator_at_) &&
           buffer[0] == callers_class_ && buffer[data_at_] == reinterpret_cast<uintptr_t>(memory) &&
           buffer[deallocator_at_] == reinterpret_cast<uintptr_t>(&ProbeDeallocator);
  };
  const bool right = shows(first, probe_memory) && shows(second, other_memory);
  if (first != nullptr) api.TF_DeleteTensor(first);
  if (second != nullptr) api.TF_DeleteTensor(second);
  return right;
}

const uintptr_t* TensorMemory::BufferOf(const TF_Tensor* tensor) const {
  const auto interface = *reinterpret_cast<const uintptr_t* const*>(tensor);
  return reinterpret_cast<const uintptr_t*>(interface[buffer_at_]);
}

bool TensorMemory::MayChange(const TF_Tensor* tensor, Seen& seen) const {
  const uintptr_t* buffer = BufferOf(tensor);
  if (buffer == nullptr) return false;
  if (buffer[0] == callers_class_) return CallersBuffer(buffer);
  // A slice of another tensor has that one's buffer next to its data pointer. In other classes, something else is there:
  // as a rule the allocator, which is the same for all.
  uintptr_t next[kWords];
  const uintptr_t root = buffer[data_at_ + 1];
  if (root == seen.harmless_root) return false;
  if (ReadWords(root, {next, deallocator_at_ + 1}) == deallocator_at_ + 1 && next[0] == callers_class_ &&
      CallersBuffer(next)) {
    return true;
  }
  seen.harmless_root = root;
  return false;
}

bool TensorMemory::CallersBuffer(const uintptr_t* buffer) const {
  return std::find(trusted_.begin(), trusted_.end(), buffer[deallocator_at_]) == trusted_.end();
}

}  // namespace tensor_checkpoint
