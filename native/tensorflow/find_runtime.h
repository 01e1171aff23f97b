#ifndef TENSOR_CHECKPOINT_TENSORFLOW_FIND_RUNTIME_H_
#define TENSOR_CHECKPOINT_TENSORFLOW_FIND_RUNTIME_H_

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "tensorflow/c_api.h"

namespace tensor_checkpoint {

// Looks a symbol up in one library; nullptr where it isn't.
using SymbolLookup = std::function<void*(const char* name)>;

// The C API out of these libraries, each symbol out of the first that has it: the API may be split over several
// (libtensorflow, libtensorflow_framework). UNSUPPORTED names the first symbol that none of them has, and with
// `must_agree` one that two of them have at different addresses. `hidden`: a symbol to pass over, for tests; may be empty.
Result<TensorFlowApi> LoadTensorFlowApi(const std::vector<SymbolLookup>& libraries, bool must_agree,
                                        const std::string& hidden);

// The C API of the TensorFlow runtime that this process has loaded: the one that tfjs-node's addon is linked to. Nothing
// is loaded or linked for it: without a runtime it is UNSUPPORTED, and likewise with two tfjs-nodes over different ones,
// since a tensor doesn't say whose it is. What was found stays loaded for the rest of the process. The environment variable
// TENSOR_CHECKPOINT_TENSORFLOW=off hides every runtime, `without:SYMBOL` one symbol. Any thread.
Result<TensorFlowApi> FindTensorFlow();

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_TENSORFLOW_FIND_RUNTIME_H_
