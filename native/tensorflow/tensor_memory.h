#ifndef TENSOR_CHECKPOINT_TENSORFLOW_TENSOR_MEMORY_H_
#define TENSOR_CHECKPOINT_TENSORFLOW_TENSOR_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "tensorflow/c_api.h"

namespace tensor_checkpoint {

// Tells whose memory a tensor of TensorFlow's is in. TensorFlow never changes the memory of a tensor that somebody holds,
// but a tensor made by TF_NewTensor lies in memory of the caller's: tfjs-node makes one that way from every typed array
// (it is copied only where the array isn't aligned to 64 bytes), and JavaScript can write to that array ever after.
//
// The C API has no question for it. The deallocator that the caller gave is the difference, and the object behind the
// tensor holds it: where, is learnt by making a tensor with a deallocator of our own and looking for the latter. Memory
// is read through the kernel while learning, so that a layout which isn't the expected one gives a failure, never a
// fault. Immutable once learnt; any thread. `api` must outlive it.
class TensorMemory {
 public:
  // UNSUPPORTED if the layout of this TensorFlow's tensors isn't understood, or memory can't be read safely here.
  static Result<TensorMemory> Learn(const TensorFlowApi& api);

  // What was found behind one tensor, for the next: asking the kernel costs more than all the rest. Good as long as the
  // tensors that it was passed with are held, since an address may become another object's afterwards.
  struct Seen {
    uintptr_t harmless_root = 0;
  };

  // Whether somebody other than TensorFlow may write to this tensor's memory: it, or the tensor that it is a slice of,
  // was made over a caller's memory, and one that isn't trusted.
  bool MayChange(const TF_Tensor* tensor, Seen& seen) const;

  // Memory that was handed over with this deallocator is nobody else's to write to.
  void Trust(TensorFlowApi::Deallocator ours) { trusted_.push_back(reinterpret_cast<uintptr_t>(ours)); }

 private:
  TensorMemory() = default;
  // Takes the word `at` of the interface for the buffer; false if that can't be.
  bool LearnLayout(const TensorFlowApi& api, size_t at);
  bool LearnCopies(const TensorFlowApi& api);
  bool IsRight(const TensorFlowApi& api) const;
  size_t ReadBuffer(const TF_Tensor* tensor, std::span<uintptr_t> words) const;
  const uintptr_t* BufferOf(const TF_Tensor* tensor) const;
  bool CallersBuffer(const uintptr_t* buffer) const;

  // TF_Tensor → its interface object → [buffer_at_] the buffer object, whose words are: its class (the vtable), …,
  // [data_at_] the data, and in buffers over a caller's memory [deallocator_at_] the deallocator.
  size_t buffer_at_ = 0;
  size_t data_at_ = 0;
  size_t deallocator_at_ = 0;
  uintptr_t callers_class_ = 0;
  std::vector<uintptr_t> trusted_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_TENSORFLOW_TENSOR_MEMORY_H_
