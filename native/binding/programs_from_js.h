#ifndef TENSOR_CHECKPOINT_BINDING_PROGRAMS_FROM_JS_H_
#define TENSOR_CHECKPOINT_BINDING_PROGRAMS_FROM_JS_H_

#include <deque>
#include <functional>

#include "base/status.h"
#include "binding/allocations.h"
#include "binding/node_api.h"
#include "pipeline/program.h"

// Programs of src/native/contract.ts as C++ structures. Everything that could make native touch memory or files beyond
// what the program names is checked: in the call, or, where there is a row a tensor, by the program's own thread before
// it does anything else. On the JS thread.
namespace tensor_checkpoint {

// A program and what belongs to it until it has ended.
template <typename Program>
struct Submission {
  Program program;
  // Adds what comes in columns; on any thread. JS keeps the program's object alive meanwhile.
  std::function<Status(Program&)> complete;
  // The memory of ours that it refers to.
  std::deque<Allocations::Pin> pins;
};

// A program that breaks the contract leaves a JS exception pending and gives false.
bool SaveProgramFromJs(Napi::Value value, Submission<SaveProgram>& submission);
bool LoadProgramFromJs(Napi::Value value, Submission<LoadProgram>& submission);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_PROGRAMS_FROM_JS_H_
