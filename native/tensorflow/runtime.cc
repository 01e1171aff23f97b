#include "tensorflow/runtime.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <mutex>
#include <utility>

#include "tensorflow/find_runtime.h"

namespace tensor_checkpoint {
namespace {

// Guards the making of the runtime. Never destroyed once made: TensorFlow may call the kernels and the deallocator until
// the process ends. A second registration of an op would end the process, so that its outcome is final.
std::mutex runtime_mutex;
TensorFlowRuntime* the_runtime = nullptr;
Status* the_registration = nullptr;

thread_local Borrow* current_borrow = nullptr;
thread_local Provision* current_provision = nullptr;
thread_local Placement* current_placement = nullptr;

// What tfjs keeps on a GPU. Of other types the host's kernel takes copies, which TensorFlow makes by itself.
constexpr int kGpuTypes[] = {kTfFloat, kTfInt32, kTfComplex64, kTfBool};

using Pin = std::shared_ptr<void>;

void Unpin(void*, size_t, void* pin) { delete static_cast<Pin*>(pin); }

// The code that the kernels are must outlive the last environment that uses the addon: Node unloads an addon with the
// last worker thread that loaded it.
Status StayLoaded() {
  Dl_info self;
  if (dladdr(reinterpret_cast<void*>(&StayLoaded), &self) == 0 || self.dli_fname == nullptr ||
      dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE) == nullptr) {
    return Status(Code::kUnsupported, "the addon can't be kept loaded, which TensorFlow's kernels must be");
  }
  return Status::Ok();
}

}  // namespace

Borrow::~Borrow() {
  for (TF_Tensor* tensor : tensors_) the_runtime->api_.TF_DeleteTensor(tensor);
}

Result<TensorFlowRuntime*> TensorFlowRuntime::Get() {
  std::lock_guard lock(runtime_mutex);
  if (the_runtime == nullptr) {
    Result<TensorFlowApi> api = FindTensorFlow();
    if (!api.ok()) return api.status();
    Result<TensorMemory> memory = TensorMemory::Learn(*api);
    if (!memory.ok()) return memory.status();
    if (Status kept = StayLoaded(); !kept.ok()) return kept;
    the_runtime = new TensorFlowRuntime(*api, std::move(*memory));
    the_registration = new Status(the_runtime->Register());
  }
  if (!the_registration->ok()) return *the_registration;
  return the_runtime;
}

TensorFlowRuntime::TensorFlowRuntime(const TensorFlowApi& api, TensorMemory memory)
    : api_(api), memory_(std::move(memory)) {
  memory_.Trust(Unpin);
  char copy[32];
  std::snprintf(copy, sizeof copy, "V1At%zx", reinterpret_cast<uintptr_t>(&the_runtime));
  borrow_op_ = std::string("TensorCheckpointBorrow") + copy;
  provide_op_ = std::string("TensorCheckpointProvide") + copy;
}

Status TensorFlowRuntime::Register() {
  const Kernels borrow{[](void*, TF_OpKernelContext* context) { ComputeBorrow(context, Place::kHost); },
                       [](void*, TF_OpKernelContext* context) { ComputeBorrow(context, Place::kGpu); }};
  if (Status status = RegisterOp(borrow_op_, "tensors: N * T", nullptr, borrow); !status.ok()) return status;
  return RegisterOp(provide_op_, nullptr, "tensors: N * T", {ComputeProvide, ComputePlace});
}

Status TensorFlowRuntime::RegisterOp(const std::string& name, const char* inputs, const char* outputs,
                                     Kernels kernels) {
  ScopedStatus status(api_);
  TF_OpDefinitionBuilder* op = api_.TF_NewOpDefinitionBuilder(name.c_str());
  api_.TF_OpDefinitionBuilderAddAttr(op, "N: int >= 1");
  api_.TF_OpDefinitionBuilderAddAttr(op, "T: type");
  if (inputs != nullptr) api_.TF_OpDefinitionBuilderAddInput(op, inputs);
  if (outputs != nullptr) api_.TF_OpDefinitionBuilderAddOutput(op, outputs);
  // Each execution counts: none may be left out or taken for another.
  api_.TF_OpDefinitionBuilderSetIsStateful(op, true);
  api_.TF_RegisterOpDefinition(op, status.get());
  if (status.ok()) {
    TF_KernelBuilder* kernel = api_.TF_NewKernelBuilder(name.c_str(), "CPU", nullptr, kernels.host, nullptr);
    api_.TF_RegisterKernelBuilder(name.c_str(), kernel, status.get());
  }
  // Without a GPU they are never asked for.
  for (const int type : kGpuTypes) {
    if (status.ok()) RegisterGpuKernel(name, type, kernels, status.get());
  }
  if (status.ok()) return Status::Ok();
  return Status(Code::kUnsupported, std::string("TensorFlow refuses the op: ") + status.message());
}

void TensorFlowRuntime::RegisterGpuKernel(const std::string& name, int type, Kernels kernels, TF_Status* status) {
  const bool on_host = type == kTfInt32;
  TF_KernelBuilder* kernel =
      api_.TF_NewKernelBuilder(name.c_str(), "GPU", nullptr, on_host ? kernels.host : kernels.gpu, nullptr);
  api_.TF_KernelBuilder_TypeConstraint(kernel, "T", type, status);
  if (api_.TF_GetCode(status) != kTfOk) return;  // Leaves the builder, once: that TensorFlow is of no use.
  if (on_host) api_.TF_KernelBuilder_HostMemory(kernel, "tensors");
  api_.TF_RegisterKernelBuilder(name.c_str(), kernel, status);
}

void TensorFlowRuntime::SetBorrow(Borrow* job) { current_borrow = job; }
void TensorFlowRuntime::SetProvision(Provision* job) { current_provision = job; }
void TensorFlowRuntime::SetPlacement(Placement* job) { current_placement = job; }

void TensorFlowRuntime::ComputeBorrow(TF_OpKernelContext* context, Place place) {
  Borrow* job = current_borrow;
  the_runtime->Report(context, job == nullptr ? Status(Code::kUnsupported, "no borrow has begun on this thread")
                                              : the_runtime->Take(context, *job, place));
}

void TensorFlowRuntime::ComputeProvide(void*, TF_OpKernelContext* context) {
  Provision* job = current_provision;
  the_runtime->Report(context, job == nullptr ? Status(Code::kUnsupported, "nothing is provided by this thread")
                                              : the_runtime->Give(context, *job));
}

void TensorFlowRuntime::ComputePlace(void*, TF_OpKernelContext* context) {
  Placement* job = current_placement;
  the_runtime->Report(context, job == nullptr ? Status(Code::kUnsupported, "no memory is asked for by this thread")
                                              : the_runtime->Make(context, *job));
}

void TensorFlowRuntime::Report(TF_OpKernelContext* context, const Status& status) const {
  if (status.ok()) return;
  ScopedStatus failure(api_);
  api_.TF_SetStatus(failure.get(), kTfFailedPrecondition, status.message().c_str());
  api_.TF_OpKernelContext_Failure(context, failure.get());
}

Status TensorFlowRuntime::Take(TF_OpKernelContext* context, Borrow& job, Place place) const {
  ScopedStatus status(api_);
  TensorMemory::Seen seen;
  const int count = api_.TF_NumInputs(context);
  for (int i = 0; i < count; ++i) {
    TF_Tensor* tensor = nullptr;
    api_.TF_GetInput(context, i, &tensor, status.get());
    if (!status.ok() || tensor == nullptr) {
      return Status(Code::kUnsupported, std::string("TensorFlow doesn't give the tensor: ") + status.message());
    }
    const size_t bytes = api_.TF_TensorByteSize(tensor);
    Borrow::Item item{static_cast<const uint8_t*>(api_.TF_TensorData(tensor)), bytes, api_.TF_TensorType(tensor),
                      place == Place::kGpu};
    // JavaScript has no memory on a GPU.
    const bool is_callers = bytes > 0 && place == Place::kHost && memory_.MayChange(tensor, seen);
    if (job.use_ == Borrow::Use::kFree) {
      if (is_callers) {
        api_.TF_DeleteTensor(tensor);
      } else {
        job.tensors_.push_back(tensor);
      }
      continue;
    }
    if (is_callers) {
      AlignedBuffer copy = AlignedBuffer::Allocate(bytes);
      if (!copy.empty()) std::memcpy(copy.data(), item.data, bytes);
      api_.TF_DeleteTensor(tensor);
      if (copy.empty()) return Status(Code::kOutOfRange, "no memory to copy " + std::to_string(bytes) + " bytes");
      item.data = copy.data();
      job.copied_ += bytes;
      job.copies_.push_back(std::move(copy));
    } else {
      job.tensors_.push_back(tensor);
    }
    job.bytes_ += bytes;
    job.items_.push_back(item);
  }
  return Status::Ok();
}

Status TensorFlowRuntime::Give(TF_OpKernelContext* context, Provision& job) const {
  ScopedStatus status(api_);
  const int count = api_.TF_NumOutputs(context);
  for (int i = 0; i < count; ++i) {
    if (job.next == job.items.size()) return Status(Code::kUnsupported, "more outputs than buffers");
    Provision::Item& item = job.items[job.next++];
    TF_Tensor* tensor = api_.TF_NewTensor(item.type, item.dims.data(), static_cast<int>(item.dims.size()), item.data,
                                          item.bytes, Unpin, new Pin(item.memory));
    if (tensor == nullptr) return Status(Code::kUnsupported, "TensorFlow makes no tensor of this memory");
    api_.TF_SetOutput(context, i, tensor, status.get());
    api_.TF_DeleteTensor(tensor);
    if (!status.ok()) return Status(Code::kUnsupported, std::string("TensorFlow refuses the tensor: ") + status.message());
  }
  return Status::Ok();
}

Status TensorFlowRuntime::Make(TF_OpKernelContext* context, Placement& job) const {
  if (api_.TF_NumOutputs(context) != 1 || !job.made->items_.empty()) {
    return Status(Code::kUnsupported, "more outputs than were asked for");
  }
  ScopedStatus status(api_);
  TF_Tensor* tensor = api_.TF_AllocateOutput(context, 0, job.type, job.dims.data(), static_cast<int>(job.dims.size()),
                                             job.bytes, status.get());
  if (!status.ok() || tensor == nullptr) {
    return Status(Code::kOutOfRange, std::string("TensorFlow has no memory on the GPU: ") + status.message());
  }
  job.made->tensors_.push_back(tensor);
  job.made->items_.push_back({static_cast<const uint8_t*>(api_.TF_TensorData(tensor)), api_.TF_TensorByteSize(tensor),
                             job.type, true});
  job.made->bytes_ = job.bytes;
  return Status::Ok();
}

}  // namespace tensor_checkpoint
