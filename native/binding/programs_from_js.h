#ifndef TENSOR_CHECKPOINT_BINDING_PROGRAMS_FROM_JS_H_
#define TENSOR_CHECKPOINT_BINDING_PROGRAMS_FROM_JS_H_

#include <vector>

#include "binding/allocations.h"
#include "binding/node_api.h"
#include "pipeline/program.h"

// Programs of src/native/contract.ts as C++ structures. Everything that could make native touch memory or files beyond
// what the program names is checked here: a program that breaks the contract leaves a JS exception pending and gives
// false. `pins` gets the memory of ours that the program refers to. On the JS thread.
namespace tensor_checkpoint {

bool SaveProgramFromJs(Napi::Value value, SaveProgram& program, std::vector<Allocations::Pin>& pins);
bool LoadProgramFromJs(Napi::Value value, LoadProgram& program, std::vector<Allocations::Pin>& pins);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_PROGRAMS_FROM_JS_H_
