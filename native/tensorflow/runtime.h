#ifndef TENSOR_CHECKPOINT_TENSORFLOW_RUNTIME_H_
#define TENSOR_CHECKPOINT_TENSORFLOW_RUNTIME_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/status.h"
#include "tensorflow/c_api.h"
#include "tensorflow/tensor_memory.h"

// Hands tensors over between TensorFlow and the engine without copying them.
//
// TensorFlow's tensors can't be reached through the interface of whoever runs it (tfjs-node keeps its table to itself),
// but anybody may have TensorFlow execute an op by name, and an op's kernel sees its inputs and makes its outputs. So two
// ops are registered: one whose kernel takes references to its inputs, one whose outputs are buffers of ours. What a
// kernel is to do is no attribute of the op (TensorFlow keeps a kernel for every set of attributes, for ever) but the
// job that the calling thread has begun: eager execution runs the kernel on the thread that asks for it.
//
// On a GPU the same ops have kernels of their own, which see and make tensors in the GPU's memory: it can't be touched
// here, nor is it known when the work is done that fills it. int32 stays on the host, as in all of TensorFlow's kernels.
namespace tensor_checkpoint {

// References to tensors, taken by the borrow op. Made and filled on the thread of the JS environment that runs TensorFlow,
// and owned by that environment. Tensors in the memory of typed arrays, which TensorFlow gives back through Node-API, are
// given back at once, on that thread, and copied before if they are to be read; what is held is TensorFlow's own, so that
// a Borrow may be destroyed on any thread. The addresses may be read by any thread as long as it lives.
class Borrow {
 public:
  // What the references are for: to read the values, or only to say when their memory is given back.
  enum class Use { kRead, kFree };

  struct Item {
    const uint8_t* data;
    size_t bytes;
    int type;
    bool on_gpu = false;  // `data` is an address of the GPU's that TensorFlow computes on.
  };

  explicit Borrow(Use use = Use::kRead) : use_(use) {}
  ~Borrow();
  Borrow(const Borrow&) = delete;
  Borrow& operator=(const Borrow&) = delete;

  // In the order of the op's inputs, over all its executions; none for kFree.
  const std::vector<Item>& items() const { return items_; }
  uint64_t bytes() const { return bytes_; }
  // Bytes that were copied because their memory isn't TensorFlow's alone.
  uint64_t copied() const { return copied_; }

 private:
  friend class TensorFlowRuntime;
  const Use use_;
  std::vector<TF_Tensor*> tensors_;
  std::vector<Item> items_;
  std::vector<AlignedBuffer> copies_;
  uint64_t bytes_ = 0;
  uint64_t copied_ = 0;
};

// Buffers that the provide op is to make tensors of, in the order of its outputs. TensorFlow then holds `memory` until
// the tensor is gone, and lets go of it on a thread of its choice.
struct Provision {
  struct Item {
    int type;
    std::vector<int64_t> dims;
    std::shared_ptr<void> memory;
    uint8_t* data;
    size_t bytes;
  };
  std::vector<Item> items;
  size_t next = 0;
};

// A tensor that the provide op is to make in the memory of TensorFlow's GPU, for somebody else to fill. What was there
// before may still be in use by work of the GPU's: nothing may be written before that is done.
struct Placement {
  int type;
  std::vector<int64_t> dims;
  size_t bytes;
  std::unique_ptr<Borrow> made = std::make_unique<Borrow>();
};

// The process's one. Any thread; jobs belong to the thread that began them.
class TensorFlowRuntime {
 public:
  // Finds TensorFlow and registers the ops, once a process. A failure is not remembered: the runtime may be loaded later.
  static Result<TensorFlowRuntime*> Get();

  const char* version() const { return api_.TF_Version(); }
  // Names that no other copy of this code in the process uses: the kernels behind an op are those of one copy.
  const std::string& borrow_op() const { return borrow_op_; }
  const std::string& provide_op() const { return provide_op_; }

  // The job of what this thread executes from now on; nullptr: none. An op that is executed without a job fails.
  static void SetBorrow(Borrow* job);
  static void SetProvision(Provision* job);
  static void SetPlacement(Placement* job);

 private:
  friend class Borrow;
  TensorFlowRuntime(const TensorFlowApi& api, TensorMemory memory);
  Status Register();
  // What an op computes on the host, and on a GPU.
  struct Kernels {
    TensorFlowApi::ComputeKernel host;
    TensorFlowApi::ComputeKernel gpu;
  };
  Status RegisterOp(const std::string& name, const char* inputs, const char* outputs, Kernels kernels);
  void RegisterGpuKernel(const std::string& name, int type, Kernels kernels, TF_Status* status);
  enum class Place : bool { kHost, kGpu };
  Status Take(TF_OpKernelContext* context, Borrow& job, Place place) const;
  Status Give(TF_OpKernelContext* context, Provision& job) const;
  Status Make(TF_OpKernelContext* context, Placement& job) const;
  static void ComputeBorrow(TF_OpKernelContext* context, Place place);
  static void ComputeProvide(void*, TF_OpKernelContext* context);
  static void ComputePlace(void*, TF_OpKernelContext* context);
  void Report(TF_OpKernelContext* context, const Status& status) const;

  const TensorFlowApi api_;
  TensorMemory memory_;
  std::string borrow_op_;
  std::string provide_op_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_TENSORFLOW_RUNTIME_H_
