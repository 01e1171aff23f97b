#include "tensorflow/tensor_memory.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <span>

namespace tensor_checkpoint {
namespace {

constexpr size_t kWords = 12;

alignas(64) char probe_memory[64];

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
  TensorMemory learnt;
  const bool known = learnt.LearnLayout(api) && learnt.LearnCopies(api);
  if (!known) return Status(Code::kUnsupported, "the layout of this TensorFlow's tensors is not known");
  return learnt;
}

bool TensorMemory::LearnLayout(const TensorFlowApi& api) {
  TF_Tensor* tensor = NewProbe(api, probe_memory, sizeof probe_memory);
  if (tensor == nullptr) return false;
  uintptr_t interface = 0;
  uintptr_t object[kWords];
  size_t words = 0;
  if (ReadWords(reinterpret_cast<uintptr_t>(tensor), {&interface, 1}) == 1) words = ReadWords(interface, object);
  const auto data = reinterpret_cast<uintptr_t>(probe_memory);
  const auto deallocator = reinterpret_cast<uintptr_t>(&ProbeDeallocator);
  for (size_t at = 0; at < words && callers_class_ == 0; ++at) {
    uintptr_t buffer[kWords];
    const auto readable = std::span(buffer, ReadWords(object[at], buffer));
    const auto data_found = std::find(readable.begin(), readable.end(), data);
    const auto deallocator_found = std::find(readable.begin(), readable.end(), deallocator);
    if (data_found == readable.end() || deallocator_found == readable.end()) continue;
    buffer_at_ = at;
    data_at_ = static_cast<size_t>(data_found - readable.begin());
    deallocator_at_ = static_cast<size_t>(deallocator_found - readable.begin());
    callers_class_ = buffer[0];
  }
  api.TF_DeleteTensor(tensor);
  // The class comes first in an object with virtual functions.
  return callers_class_ != 0 && data_at_ > 0 && deallocator_at_ > 0;
}

bool TensorMemory::LearnCopies(const TensorFlowApi& api) {
  // Not aligned, so that TensorFlow copies it, into memory with a deallocator of its own.
  TF_Tensor* tensor = NewProbe(api, probe_memory + 1, sizeof probe_memory - 1);
  if (tensor == nullptr) return false;
  const uintptr_t* buffer = BufferOf(tensor);
  const bool copied = buffer != nullptr && api.TF_TensorData(tensor) != probe_memory + 1 &&
                      buffer[data_at_] == reinterpret_cast<uintptr_t>(api.TF_TensorData(tensor));
  if (copied && buffer[0] == callers_class_) trusted_.push_back(buffer[deallocator_at_]);
  api.TF_DeleteTensor(tensor);
  return copied;
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
