// A GPU for TensorFlow on machines without one: a device plugin of type "GPU" (tensorflow/c/experimental/stream_executor)
// whose memory and streams are those of the stand-in CUDA driver, so that what TensorFlow has on its GPU is what the engine
// knows as device memory. It computes one op: see kernels.cc. Loaded by Node as an addon before tfjs-node is, it has
// TensorFlow load it.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "device/cuda_driver.h"
#include "plugin.h"

namespace standin_gpu {

TensorFlow tensorflow;

namespace {

using namespace tensor_checkpoint;

const CudaDriver* driver = nullptr;
struct Device {
  CUcontext context = nullptr;
};

std::mutex mutex;
std::map<CUstream, Device*> streams;  // Those of TensorFlow's.

const CudaFunctions& Cuda() { return driver->call(); }

// What the driver refuses is a fault of the plugin's.
void Must(CUresult result, const char* function) {
  if (result == CUDA_SUCCESS) return;
  std::fprintf(stderr, "stand-in GPU: %s\n", driver->Check(result, function).message().c_str());
  std::abort();
}

// Makes a device's context current for one call.
class On {
 public:
  explicit On(const SP_Device* device) {
    Must(Cuda().cuCtxPushCurrent(static_cast<Device*>(device->device_handle)->context), "cuCtxPushCurrent");
  }
  ~On() {
    CUcontext popped;
    Must(Cuda().cuCtxPopCurrent(&popped), "cuCtxPopCurrent");
  }
};

CUdeviceptr At(const SP_DeviceMemoryBase* memory) { return reinterpret_cast<CUdeviceptr>(memory->opaque); }
CUstream Of(SP_Stream stream) { return reinterpret_cast<CUstream>(stream); }
CUevent Of(SP_Event event) { return reinterpret_cast<CUevent>(event); }
void Say(TF_Status* status) { tensorflow.TF_SetStatus(status, TF_OK, ""); }

void Allocate(const SP_Device* device, uint64_t bytes, int64_t, SP_DeviceMemoryBase* memory) {
  On on(device);
  CUdeviceptr pointer = 0;
  memory->struct_size = SP_DEVICE_MEMORY_BASE_STRUCT_SIZE;
  memory->opaque = nullptr;
  memory->size = 0;
  if (bytes == 0 || Cuda().cuMemAlloc(&pointer, bytes) != CUDA_SUCCESS) return;
  memory->opaque = reinterpret_cast<void*>(pointer);
  memory->size = bytes;
}

// Work of TensorFlow's own may still use it, as the order of its stream allows; that of others must not.
void Deallocate(const SP_Device* device, SP_DeviceMemoryBase* memory) {
  if (memory->opaque == nullptr) return;
  On on(device);
  std::map<CUstream, Device*> all;
  {
    std::lock_guard lock(mutex);
    all = streams;
  }
  for (const auto& [stream, owner] : all) {
    if (owner == device->device_handle) Must(Cuda().cuStreamSynchronize(stream), "cuStreamSynchronize");
  }
  Must(Cuda().cuMemFree(At(memory)), "cuMemFree");
  memory->opaque = nullptr;
  memory->size = 0;
}

void* AllocateHost(const SP_Device* device, uint64_t bytes) {
  On on(device);
  void* memory = nullptr;
  return Cuda().cuMemHostAlloc(&memory, bytes, 0) == CUDA_SUCCESS ? memory : nullptr;
}

void DeallocateHost(const SP_Device* device, void* memory) {
  On on(device);
  Must(Cuda().cuMemFreeHost(memory), "cuMemFreeHost");
}

TF_Bool Usage(const SP_Device* device, int64_t* available, int64_t* total) {
  On on(device);
  size_t free_bytes = 0;
  size_t all = 0;
  Must(Cuda().cuMemGetInfo(&free_bytes, &all), "cuMemGetInfo");
  *available = static_cast<int64_t>(free_bytes);
  *total = static_cast<int64_t>(all);
  return true;
}

void CreateStream(const SP_Device* device, SP_Stream* stream, TF_Status* status) {
  On on(device);
  CUstream made = nullptr;
  // As TensorFlow's own are: not ordered against the default stream.
  Must(Cuda().cuStreamCreate(&made, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
  std::lock_guard lock(mutex);
  streams[made] = static_cast<Device*>(device->device_handle);
  *stream = reinterpret_cast<SP_Stream>(made);
  Say(status);
}

void DestroyStream(const SP_Device* device, SP_Stream stream) {
  On on(device);
  {
    std::lock_guard lock(mutex);
    streams.erase(Of(stream));
  }
  Must(Cuda().cuStreamSynchronize(Of(stream)), "cuStreamSynchronize");
  Must(Cuda().cuStreamDestroy(Of(stream)), "cuStreamDestroy");
}

void CreateEvent(const SP_Device* device, SP_Event* event, TF_Status* status) {
  On on(device);
  CUevent made = nullptr;
  Must(Cuda().cuEventCreate(&made, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
  *event = reinterpret_cast<SP_Event>(made);
  Say(status);
}

void DestroyEvent(const SP_Device* device, SP_Event event) {
  On on(device);
  Must(Cuda().cuEventDestroy(Of(event)), "cuEventDestroy");
}

SE_EventStatus EventStatus(const SP_Device* device, SP_Event event) {
  On on(device);
  const CUresult result = Cuda().cuEventQuery(Of(event));
  if (result == CUDA_SUCCESS) return SE_EVENT_COMPLETE;
  return result == CUDA_ERROR_NOT_READY ? SE_EVENT_PENDING : SE_EVENT_ERROR;
}

void RecordEvent(const SP_Device* device, SP_Stream stream, SP_Event event, TF_Status* status) {
  On on(device);
  Must(Cuda().cuEventRecord(Of(event), Of(stream)), "cuEventRecord");
  Say(status);
}

void WaitForEvent(const SP_Device* device, SP_Stream stream, SP_Event event, TF_Status* status) {
  On on(device);
  Must(Cuda().cuStreamWaitEvent(Of(stream), Of(event), 0), "cuStreamWaitEvent");
  Say(status);
}

void Depend(const SP_Device* device, SP_Stream dependent, SP_Stream other, TF_Status* status) {
  On on(device);
  CUevent event = nullptr;
  Must(Cuda().cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
  Must(Cuda().cuEventRecord(event, Of(other)), "cuEventRecord");
  Must(Cuda().cuStreamWaitEvent(Of(dependent), event, 0), "cuStreamWaitEvent");
  Must(Cuda().cuEventDestroy(event), "cuEventDestroy");
  Say(status);
}

void StreamStatus(const SP_Device*, SP_Stream, TF_Status* status) { Say(status); }

void BlockForEvent(const SP_Device* device, SP_Event event, TF_Status* status) {
  On on(device);
  Must(Cuda().cuEventSynchronize(Of(event)), "cuEventSynchronize");
  Say(status);
}

void BlockUntilDone(const SP_Device* device, SP_Stream stream, TF_Status* status) {
  On on(device);
  Must(Cuda().cuStreamSynchronize(Of(stream)), "cuStreamSynchronize");
  Say(status);
}

void SynchronizeAll(const SP_Device* device, TF_Status* status) {
  On on(device);
  Must(Cuda().cuCtxSynchronize(), "cuCtxSynchronize");
  Say(status);
}

void ToHost(const SP_Device* device, SP_Stream stream, void* to, const SP_DeviceMemoryBase* from, uint64_t bytes,
            TF_Status* status) {
  On on(device);
  Must(Cuda().cuMemcpyDtoHAsync(to, At(from), bytes, Of(stream)), "cuMemcpyDtoHAsync");
  Say(status);
}

void ToDevice(const SP_Device* device, SP_Stream stream, SP_DeviceMemoryBase* to, const void* from, uint64_t bytes,
              TF_Status* status) {
  On on(device);
  Must(Cuda().cuMemcpyHtoDAsync(At(to), from, bytes, Of(stream)), "cuMemcpyHtoDAsync");
  Say(status);
}

void OnDevice(const SP_Device* device, SP_Stream stream, SP_DeviceMemoryBase* to, const SP_DeviceMemoryBase* from,
              uint64_t bytes, TF_Status* status) {
  On on(device);
  Must(Cuda().cuMemcpyDtoDAsync(At(to), At(from), bytes, Of(stream)), "cuMemcpyDtoDAsync");
  Say(status);
}

// Runs a copy on a stream of its own and waits for it.
template <typename Copy>
void AtOnce(const SP_Device* device, Copy copy) {
  On on(device);
  CUstream stream = nullptr;
  Must(Cuda().cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
  copy(reinterpret_cast<SP_Stream>(stream));
  Must(Cuda().cuStreamSynchronize(stream), "cuStreamSynchronize");
  Must(Cuda().cuStreamDestroy(stream), "cuStreamDestroy");
}

void ToHostAtOnce(const SP_Device* device, void* to, const SP_DeviceMemoryBase* from, uint64_t bytes, TF_Status* status) {
  AtOnce(device, [&](SP_Stream stream) { ToHost(device, stream, to, from, bytes, status); });
}
void ToDeviceAtOnce(const SP_Device* device, SP_DeviceMemoryBase* to, const void* from, uint64_t bytes, TF_Status* status) {
  AtOnce(device, [&](SP_Stream stream) { ToDevice(device, stream, to, from, bytes, status); });
}
void OnDeviceAtOnce(const SP_Device* device, SP_DeviceMemoryBase* to, const SP_DeviceMemoryBase* from, uint64_t bytes,
                    TF_Status* status) {
  AtOnce(device, [&](SP_Stream stream) { OnDevice(device, stream, to, from, bytes, status); });
}

// On a thread of its own: what TensorFlow does there may call the driver, which a host function must not.
TF_Bool CallBack(const SP_Device* device, SP_Stream stream, SE_StatusCallbackFn function, void* argument) {
  On on(device);
  CUevent event = nullptr;
  Must(Cuda().cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
  Must(Cuda().cuEventRecord(event, Of(stream)), "cuEventRecord");
  const SP_Device copy = *device;
  std::thread([copy, event, function, argument] {
    {
      On current(&copy);
      Must(Cuda().cuEventSynchronize(event), "cuEventSynchronize");
      Must(Cuda().cuEventDestroy(event), "cuEventDestroy");
    }
    TF_Status* status = tensorflow.TF_NewStatus();
    function(argument, status);
    tensorflow.TF_DeleteStatus(status);
  }).detach();
  return true;
}

void CreateExecutor(const SP_Platform*, SE_CreateStreamExecutorParams* params, TF_Status* status) {
  SP_StreamExecutor& executor = *params->stream_executor;
  executor.struct_size = SP_STREAMEXECUTOR_STRUCT_SIZE;
  executor.allocate = Allocate;
  executor.deallocate = Deallocate;
  executor.host_memory_allocate = AllocateHost;
  executor.host_memory_deallocate = DeallocateHost;
  executor.get_allocator_stats = [](const SP_Device*, SP_AllocatorStats*) -> TF_Bool { return false; };
  executor.device_memory_usage = Usage;
  executor.create_stream = CreateStream;
  executor.destroy_stream = DestroyStream;
  executor.create_stream_dependency = Depend;
  executor.get_stream_status = StreamStatus;
  executor.create_event = CreateEvent;
  executor.destroy_event = DestroyEvent;
  executor.get_event_status = EventStatus;
  executor.record_event = RecordEvent;
  executor.wait_for_event = WaitForEvent;
  executor.create_timer = [](const SP_Device*, SP_Timer*, TF_Status* said) { Say(said); };
  executor.destroy_timer = [](const SP_Device*, SP_Timer) {};
  executor.start_timer = [](const SP_Device*, SP_Stream, SP_Timer, TF_Status* said) { Say(said); };
  executor.stop_timer = [](const SP_Device*, SP_Stream, SP_Timer, TF_Status* said) { Say(said); };
  executor.memcpy_dtoh = ToHost;
  executor.memcpy_htod = ToDevice;
  executor.memcpy_dtod = OnDevice;
  executor.sync_memcpy_dtoh = ToHostAtOnce;
  executor.sync_memcpy_htod = ToDeviceAtOnce;
  executor.sync_memcpy_dtod = OnDeviceAtOnce;
  executor.block_host_for_event = BlockForEvent;
  executor.block_host_until_done = BlockUntilDone;
  executor.synchronize_all_activity = SynchronizeAll;
  executor.host_callback = CallBack;
  // Nothing that the tests do fills device memory.
  executor.mem_zero = [](const SP_Device*, SP_Stream, SP_DeviceMemoryBase*, uint64_t, TF_Status*) { std::abort(); };
  executor.memset = [](const SP_Device*, SP_Stream, SP_DeviceMemoryBase*, uint8_t, uint64_t, TF_Status*) { std::abort(); };
  executor.memset32 = [](const SP_Device*, SP_Stream, SP_DeviceMemoryBase*, uint32_t, uint64_t, TF_Status*) {
    std::abort();
  };
  Say(status);
}

void CreateDevice(const SP_Platform*, SE_CreateDeviceParams* params, TF_Status* status) {
  auto* device = new Device;
  CUdevice number = 0;
  Must(Cuda().cuDeviceGet(&number, params->ordinal), "cuDeviceGet");
  Must(Cuda().cuDevicePrimaryCtxRetain(&device->context, number), "cuDevicePrimaryCtxRetain");
  params->device->struct_size = SP_DEVICE_STRUCT_SIZE;
  params->device->ordinal = params->ordinal;
  params->device->device_handle = device;
  Say(status);
}

void DestroyDevice(const SP_Platform*, SP_Device* device) { delete static_cast<Device*>(device->device_handle); }

template <typename Function>
bool Find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

// Loads the stand-in driver at STANDIN_GPU_CUDA, and has the TensorFlow at STANDIN_GPU_TENSORFLOW load this file as a plugin.
std::string Load() {
  const char* cuda = std::getenv("STANDIN_GPU_CUDA");
  const char* path = std::getenv("STANDIN_GPU_TENSORFLOW");
  if (cuda == nullptr || path == nullptr) return "STANDIN_GPU_CUDA and STANDIN_GPU_TENSORFLOW must be set";
  auto loaded = CudaDriver::Load(cuda);
  if (!loaded.ok()) return std::string(loaded.status().message());
  driver = std::move(*loaded).release();
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return dlerror();
#define STANDIN_GPU_FIND(name) \
  if (!Find(library, #name, tensorflow.name)) return std::string(path) + " has no " #name
  STANDIN_GPU_TENSORFLOW_FUNCTIONS(STANDIN_GPU_FIND);
#undef STANDIN_GPU_FIND
  Dl_info self;
  if (dladdr(reinterpret_cast<void*>(&Load), &self) == 0) return "dladdr fails";
  TF_Status* status = tensorflow.TF_NewStatus();
  tensorflow.TF_LoadPluggableDeviceLibrary(self.dli_fname, status);
  const std::string said = tensorflow.TF_GetCode(status) == TF_OK ? "" : tensorflow.TF_Message(status);
  tensorflow.TF_DeleteStatus(status);
  return said;
}

}  // namespace

void CopyOnDevice(SP_Stream stream, void* to, const void* from, size_t bytes) {
  // In the stream's context, which TensorFlow doesn't make current for a plugin.
  SP_Device device{};
  {
    std::lock_guard lock(mutex);
    device.device_handle = streams.at(Of(stream));
  }
  On on(&device);
  Must(Cuda().cuMemcpyDtoDAsync(reinterpret_cast<CUdeviceptr>(to), reinterpret_cast<CUdeviceptr>(from), bytes, Of(stream)),
       "cuMemcpyDtoDAsync");
}

}  // namespace standin_gpu

using namespace standin_gpu;

#define STANDIN_GPU_EXPORT extern "C" __attribute__((visibility("default")))

STANDIN_GPU_EXPORT void SE_InitPlugin(SE_PlatformRegistrationParams* params, TF_Status* status) {
  params->platform->struct_size = SP_PLATFORM_STRUCT_SIZE;
  params->platform->name = "STANDIN";
  params->platform->type = "GPU";
  params->platform->supports_unified_memory = false;
  // Without an allocator in between, use after free is seen; with it, tensors lie amid larger allocations.
  params->platform->use_bfc_allocator = std::getenv("STANDIN_GPU_BFC") != nullptr;
  params->platform->force_memory_growth = true;
  SP_PlatformFns& functions = *params->platform_fns;
  functions.get_device_count = [](const SP_Platform*, int* count, TF_Status* said) {
    const char* devices = std::getenv("STANDIN_GPU_DEVICES");
    *count = devices == nullptr ? 1 : std::atoi(devices);
    Say(said);
  };
  functions.create_device = CreateDevice;
  functions.destroy_device = DestroyDevice;
  functions.create_device_fns = [](const SP_Platform*, SE_CreateDeviceFnsParams* made, TF_Status* said) {
    made->device_fns->struct_size = SP_DEVICE_FNS_STRUCT_SIZE;
    Say(said);
  };
  functions.destroy_device_fns = [](const SP_Platform*, SP_DeviceFns*) {};
  functions.create_stream_executor = CreateExecutor;
  functions.destroy_stream_executor = [](const SP_Platform*, SP_StreamExecutor*) {};
  functions.create_timer_fns = [](const SP_Platform*, SP_TimerFns* made, TF_Status* said) {
    made->struct_size = SP_TIMER_FNS_STRUCT_SIZE;
    made->nanoseconds = [](SP_Timer) -> uint64_t { return 0; };
    Say(said);
  };
  functions.destroy_timer_fns = [](const SP_Platform*, SP_TimerFns*) {};
  params->destroy_platform = [](SP_Platform*) {};
  params->destroy_platform_fns = [](SP_PlatformFns*) {};
  Say(status);
}

STANDIN_GPU_EXPORT void TF_InitKernel() { RegisterKernels(); }

// Node's part, without its headers: an addon that has done its work once it is loaded.
extern "C" int napi_throw_error(void* env, const char* code, const char* message);
STANDIN_GPU_EXPORT void* napi_register_module_v1(void* env, void* exports) {
  if (const std::string problem = Load(); !problem.empty()) napi_throw_error(env, nullptr, problem.c_str());
  return exports;
}
