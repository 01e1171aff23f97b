#include "device/cufile.h"

#include <dlfcn.h>

#include <cstdlib>
#include <utility>

namespace tensor_checkpoint {
namespace {

constexpr char kLibraryVariable[] = "TENSOR_CHECKPOINT_CUFILE_LIBRARY";
constexpr char kDefaultLibrary[] = "libcufile.so.0";

Status Unsupported(const std::string& reason) { return Status(Code::kUnsupported, "no GPUDirect Storage: " + reason); }

struct Named {
  int code;
  const char* name;
  const char* meaning;
};

// In the order of their codes. The meaning where it helps.
constexpr Named kErrors[] = {
    {5001, "CU_FILE_DRIVER_NOT_INITIALIZED", "the kernel module nvidia-fs is not loaded"},
    {5002, "CU_FILE_DRIVER_INVALID_PROPS", ""},
    {5003, "CU_FILE_DRIVER_UNSUPPORTED_LIMIT", ""},
    {5004, "CU_FILE_DRIVER_VERSION_MISMATCH", "library and nvidia-fs are of different versions"},
    {5005, "CU_FILE_DRIVER_VERSION_READ_ERROR", "nvidia-fs does not tell its version"},
    {5006, "CU_FILE_DRIVER_CLOSING", ""},
    {5007, "CU_FILE_PLATFORM_NOT_SUPPORTED", "this machine can't"},
    {5008, "CU_FILE_IO_NOT_SUPPORTED", "this file can't: its file system or disk does not support it"},
    {5009, "CU_FILE_DEVICE_NOT_SUPPORTED", "this GPU can't"},
    {5010, "CU_FILE_NVFS_DRIVER_ERROR", "nvidia-fs failed"},
    {5011, "CU_FILE_CUDA_DRIVER_ERROR", "the CUDA driver failed"},
    {5012, "CU_FILE_CUDA_POINTER_INVALID", ""},
    {5013, "CU_FILE_CUDA_MEMORY_TYPE_INVALID", ""},
    {5014, "CU_FILE_CUDA_POINTER_RANGE_ERROR", ""},
    {5015, "CU_FILE_CUDA_CONTEXT_MISMATCH", ""},
    {5016, "CU_FILE_INVALID_MAPPING_SIZE", ""},
    {5017, "CU_FILE_INVALID_MAPPING_RANGE", ""},
    {5018, "CU_FILE_INVALID_FILE_TYPE", ""},
    {5019, "CU_FILE_INVALID_FILE_OPEN_FLAG", ""},
    {5020, "CU_FILE_DIO_NOT_SET", "the file is not open for direct I/O"},
    {5022, "CU_FILE_INVALID_VALUE", ""},
    {5023, "CU_FILE_MEMORY_ALREADY_REGISTERED", ""},
    {5024, "CU_FILE_MEMORY_NOT_REGISTERED", ""},
    {5025, "CU_FILE_PERMISSION_DENIED", "the process may not use nvidia-fs or the file"},
    {5026, "CU_FILE_DRIVER_ALREADY_OPEN", ""},
    {5027, "CU_FILE_HANDLE_NOT_REGISTERED", ""},
    {5028, "CU_FILE_HANDLE_ALREADY_REGISTERED", ""},
    {5029, "CU_FILE_DEVICE_NOT_FOUND", ""},
    {5030, "CU_FILE_INTERNAL_ERROR", ""},
    {5031, "CU_FILE_GETNEWFD_FAILED", ""},
    {5033, "CU_FILE_NVFS_SETUP_ERROR", "nvidia-fs or the CUDA driver could not be set up"},
    {5034, "CU_FILE_IO_DISABLED", "cufile.json disables it for this file"},
    {5036, "CU_FILE_GPU_MEMORY_PINNING_FAILED", "the GPU has no more memory that others can reach (BAR1)"},
    {5043, "CU_FILE_NOMEM_ERROR", ""},
    {5044, "CU_FILE_IO_ERROR", ""},
    {5045, "CU_FILE_INTERNAL_BUF_REGISTER_ERROR", ""},
    {5047, "CU_FILE_INVALID_CONTEXT_ERROR", ""},
    {5048, "CU_FILE_NVFS_INTERNAL_DRIVER_ERROR", "nvidia-fs failed"},
};

const Named* Find(int code) {
  for (const Named& error : kErrors) {
    if (error.code == code) return &error;
  }
  return nullptr;
}

std::string Describe(int code) {
  const Named* const found = Find(code);
  const std::string meaning = found == nullptr ? "" : found->meaning;
  return (meaning.empty() ? "" : meaning + " ") + "(" + CuFile::ErrorName(code) + ")";
}

}  // namespace

std::string CuFile::ErrorName(int code) {
  const Named* const found = Find(code);
  return found == nullptr ? "cuFile error " + std::to_string(code) : found->name;
}

Result<std::unique_ptr<CuFile>> CuFile::Load(const std::string& library) {
  std::unique_ptr<CuFile> made(new CuFile);
  void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const reason = dlerror();
    return Unsupported(reason == nullptr ? library + " can't be loaded" : reason);
  }
  CuFileFunctions& call = made->functions_;
  const char* missing = nullptr;
#define TENSOR_CHECKPOINT_CUFILE_FIND(name, result, parameters) \
  call.name = reinterpret_cast<result(*) parameters>(dlsym(handle, #name));
#define TENSOR_CHECKPOINT_CUFILE_LOAD(name, result, parameters) \
  TENSOR_CHECKPOINT_CUFILE_FIND(name, result, parameters)       \
  if (call.name == nullptr && missing == nullptr) missing = #name;
  TENSOR_CHECKPOINT_CUFILE_FUNCTIONS(TENSOR_CHECKPOINT_CUFILE_LOAD)
  TENSOR_CHECKPOINT_CUFILE_LATER_FUNCTIONS(TENSOR_CHECKPOINT_CUFILE_FIND)
#undef TENSOR_CHECKPOINT_CUFILE_LOAD
#undef TENSOR_CHECKPOINT_CUFILE_FIND
  if (missing != nullptr) return Unsupported(library + " has no " + missing);

  // Only while nobody in the process uses it: others may count on the mode that they have chosen. What can't be changed
  // is found below.
  const bool is_ours = call.cuFileUseCount == nullptr || call.cuFileUseCount() <= 0;
  if (is_ours && call.cuFileSetParameterBool != nullptr) {
    (void)call.cuFileSetParameterBool(CUFILE_PARAM_FORCE_COMPAT_MODE, false);
    (void)call.cuFileSetParameterBool(CUFILE_PARAM_PROPERTIES_ALLOW_COMPAT_MODE, false);
  }
  if (const CUfileError opened = call.cuFileDriverOpen(); opened.err != 0) {
    return Unsupported(library + " can't be opened: " + Describe(opened.err));
  }
  CUfileDrvProps properties{};
  if (const CUfileError asked = call.cuFileDriverGetProperties(&properties); asked.err != 0) {
    return Unsupported(library + " does not tell its properties: " + Describe(asked.err));
  }
  if ((properties.nvfs.dcontrolflags & (1u << CU_FILE_ALLOW_COMPAT_MODE)) != 0) {
    return Unsupported(library + " is in compatibility mode, in which it copies through host memory where it can't do better, "
                                 "without a word: set properties.allow_compat_mode to false in cufile.json, or "
                                 "CUFILE_ALLOW_COMPAT_MODE=false");
  }
  return made;
}

Result<const CuFile*> CuFile::Shared() {
  // Never destroyed, nor its driver closed: transfers may be under way when the process ends.
  static const auto& loaded = *[] {
    const char* const named = std::getenv(kLibraryVariable);
    return new Result<std::unique_ptr<CuFile>>(Load(named != nullptr && *named != '\0' ? named : kDefaultLibrary));
  }();
  if (!loaded.ok()) return loaded.status();
  return static_cast<const CuFile*>(loaded.value().get());
}

Status CuFile::Check(CUfileError result, const char* function, const std::string& what) {
  if (result.err == 0) return Status::Ok();
  std::string message = std::string(function) + " of " + what + " failed: " + Describe(result.err);
  if (result.err == CU_FILE_CUDA_DRIVER_ERROR) message += ", CUDA error " + std::to_string(result.cu_err);
  return Status::FromDriver(ErrorName(result.err), function, std::move(message));
}

Status CuFile::TransferFailure(ssize_t result, int error, const char* function, const std::string& path, int64_t offset) {
  if (result < -CU_FILE_CODES_BEGIN) {
    return Check({static_cast<int>(-result), 0}, function, "'" + path + "' at offset " + std::to_string(offset));
  }
  return Status::FromErrno(error, function, path, offset);
}

}  // namespace tensor_checkpoint
