#ifndef TENSOR_CHECKPOINT_BINDING_PROGRAMS_FROM_JS_H_
#define TENSOR_CHECKPOINT_BINDING_PROGRAMS_FROM_JS_H_

#include "binding/node_api.h"
#include "pipeline/program.h"

// Programs of src/native/contract.ts as C++ structures. Everything that could make native touch memory or files beyond
// what the program names is checked here: a program that breaks the contract leaves a JS exception pending and gives
// false. On the JS thread.
namespace tensor_checkpoint {

bool SaveProgramFromJs(Napi::Value value, SaveProgram& program);
bool LoadProgramFromJs(Napi::Value value, LoadProgram& program);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_PROGRAMS_FROM_JS_H_
