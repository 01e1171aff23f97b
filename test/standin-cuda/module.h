#ifndef STANDIN_CUDA_MODULE_H_
#define STANDIN_CUDA_MODULE_H_

#include <memory>
#include <string>
#include <vector>

#include "abi.h"
#include "state.h"
#include "stream.h"

namespace standin {

struct Launch {
  unsigned grid;
  unsigned block;
  void** parameters;
};

// A kernel that can run here: its own source compiled for the host (kernels.cc).
struct Kernel {
  const char* name;
  unsigned threads;  // Of a block: kernels are compiled for one size.
  // Prepares the launch under the lock: checks the parameters as a device's memory protection would, says what memory it
  // uses. false: an illegal address, with `problem` for the violation.
  bool (*prepare)(State& state, int device, const Launch& launch, Operation& operation, std::string& problem);
};

const std::vector<Kernel>& Kernels();

struct Function {
  const Kernel* kernel;
  Context* context;
};

struct Module {
  Context* context;
  std::string ptx;
  std::vector<std::unique_ptr<Function>> functions;
};

// What the driver's compiler would say of this PTX: kSuccess, or why it refuses it.
Result CheckPtx(const std::string& ptx);

}  // namespace standin

#endif  // STANDIN_CUDA_MODULE_H_
