#ifndef TENSOR_CHECKPOINT_BINDING_STEPS_FROM_JS_H_
#define TENSOR_CHECKPOINT_BINDING_STEPS_FROM_JS_H_

#include <vector>

#include "binding/js_reader.h"
#include "pipeline/program.h"

namespace tensor_checkpoint {

// The list `name` of a program: its steps, which refer to `blobs` blobs. On the JS thread.
std::vector<Step> StepsFromJs(JsReader& reader, Napi::Object program, const char* name, size_t blobs);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_STEPS_FROM_JS_H_
