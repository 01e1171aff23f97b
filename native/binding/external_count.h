#ifndef TENSOR_CHECKPOINT_BINDING_EXTERNAL_COUNT_H_
#define TENSOR_CHECKPOINT_BINDING_EXTERNAL_COUNT_H_

#include <cstddef>
#include <cstdint>

#include "binding/node_api.h"

namespace tensor_checkpoint {

// V8 counts the memory of ArrayBuffers, and collects garbage each time 64 MiB have come to it since the last time: it looks
// through its whole heap, where there may be a million tensors. Where that would be in vain it is told of a part only: what it
// wasn't told of is taken off its count, and added again before V8 takes off the whole.
class ExternalCount {
 public:
  // What V8 is told of so many bytes that saves and restores are made of. Of a million tensors that is 0.5 GiB, of which the most
  // lives as long as their Checkpoint and the rest is freed by name. No save sets off a collection; garbage of a sixteenth of the
  // machine's memory, 1 GiB at most, does.
  static size_t Part(size_t bytes);

  // What V8 is told of so many bytes, so that it collects garbage when `step` of such bytes have come, or a sixteenth of the
  // machine's memory where that is less. It never does before 64 MiB.
  static size_t PartBy(size_t bytes, double step);

  // Whether V8's count may be less than what it takes off later: up to Node 22 it only looks at how much has come since its
  // last collection; a newer one ends the process when more is taken off than there is.
  static bool MayBeLess(napi_env env) {
    static const bool may = [env] {
      const napi_node_version* version = nullptr;
      return napi_get_node_version(env, &version) == napi_ok && version->major <= 22;
    }();
    return may;
  }

  static void Change(napi_env env, int64_t by) {
    int64_t ignored;
    if (by != 0) napi_adjust_external_memory(env, by, &ignored);
  }
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_EXTERNAL_COUNT_H_
