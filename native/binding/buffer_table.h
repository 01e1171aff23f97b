#ifndef TENSOR_CHECKPOINT_BINDING_BUFFER_TABLE_H_
#define TENSOR_CHECKPOINT_BINDING_BUFFER_TABLE_H_

#include <deque>

#include "binding/allocations.h"
#include "binding/js_reader.h"
#include "binding/node_api.h"

namespace tensor_checkpoint {

// Where the buffers of a program lie. To find that out takes as long as all the rest of a start together where there are
// a hundred thousand, so JS may hand them over before, some at a time (`takeBuffers`): then the table belongs to an
// object of its until a program takes it over. The buffers are kept alive by JS. On the JS thread until its program has
// started, then on the program's, and never changed again.
struct BufferTable {
  struct Memory {
    uint8_t* data = nullptr;
    size_t size = 0;
  };
  // Neither moves as it grows: moving a million would hold up JS for 10 ms.
  std::deque<Memory> memory;
  // The memory of ours among them.
  std::deque<Allocations::Pin> pins;

  // Appends a buffer; what is none becomes the reader's failure.
  void Add(JsReader& reader, napi_value buffer);
};

// The buffers of a program: those that were taken before, and then those of its list.
BufferTable BuffersOf(JsReader& reader, Napi::Object program);

// `takeBuffers` of the contract.
Napi::Value TakeBuffers(const Napi::CallbackInfo& info);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_BUFFER_TABLE_H_
