#include <string>

#include "abi.h"
#include "call.h"
#include "module.h"
#include "stream.h"

// Modules and kernels.
using namespace standin;

STANDIN_CUDA_EXPORT Result cuModuleLoadData(Module** handle, const void* image) {
  Call call("cuModuleLoadData", Call::Needs::kContext);
  if (call.refused() != kSuccess) return call.refused();
  if (handle == nullptr || image == nullptr) return kInvalidValue;
  std::string ptx = static_cast<const char*>(image);
  if (const Result result = CheckPtx(ptx); result != kSuccess) return result;
  *handle = new Module{call.context(), std::move(ptx), {}};
  call.state().modules.insert(*handle);
  return kSuccess;
}

STANDIN_CUDA_EXPORT Result cuModuleUnload(Module* module) {
  Call call("cuModuleUnload", Call::Needs::kContext);
  if (call.keeps()) return call.refused();
  if (call.state().modules.erase(module) == 0) return call.Violation("no module that is loaded", kInvalidHandle);
  delete module;
  return call.refused();
}

STANDIN_CUDA_EXPORT Result cuModuleGetFunction(Function** function, Module* module, const char* name) {
  Call call("cuModuleGetFunction", Call::Needs::kContext);
  if (call.refused() != kSuccess) return call.refused();
  if (function == nullptr || name == nullptr) return kInvalidValue;
  if (call.state().modules.count(module) == 0) return call.Violation("no module that is loaded", kInvalidHandle);
  if (module->ptx.find(".entry " + std::string(name) + "(") == std::string::npos) return kNotFound;
  for (const Kernel& kernel : Kernels()) {
    if (std::string(name) != kernel.name) continue;
    module->functions.push_back(std::make_unique<Function>(Function{&kernel, module->context}));
    *function = module->functions.back().get();
    return kSuccess;
  }
  return kNotFound;
}

STANDIN_CUDA_EXPORT Result cuLaunchKernel(Function* function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                          unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                                          Stream* handle, void** parameters, void** extra) {
  Call call("cuLaunchKernel", Call::Needs::kContext);
  if (call.refused() != kSuccess) return call.refused();
  bool known = false;
  for (const Module* module : call.state().modules) {
    for (const auto& own : module->functions) known = known || own.get() == function;
  }
  if (!known || function->context != call.context()) {
    return call.Violation("no function of a module of the current context", kInvalidHandle);
  }
  if (grid_x == 0 || grid_y != 1 || grid_z != 1 || block_x != function->kernel->threads || block_y != 1 ||
      block_z != 1 || shared_bytes != 0 || parameters == nullptr || extra != nullptr) {
    return call.Violation("a launch that the kernel is not made for", kInvalidValue);
  }
  const auto stream = StreamOf(call.state(), handle, call.context());
  if (stream == nullptr) return call.Violation("no stream of the current context that is alive", kInvalidHandle);
  Operation operation;
  operation.fails = call.later();
  std::string problem;
  const Launch launch{grid_x, block_x, parameters};
  if (!function->kernel->prepare(call.state(), call.context()->device, launch, operation, problem)) {
    return call.Violation(problem, kInvalidValue);
  }
  stream->Submit(call.state(), std::move(operation));
  return kSuccess;
}
