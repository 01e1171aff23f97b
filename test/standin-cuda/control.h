#ifndef STANDIN_CUDA_CONTROL_H_
#define STANDIN_CUDA_CONTROL_H_

#include <cstddef>
#include <cstdint>

// What a test tells a stand-in driver that is loaded already. Exported beside the driver's own functions.
extern "C" {

// The `nth` call of `function` (its exported name) from now on, 1 being the next, fails with `code`. mode: 0 this call
// only, 1 from then on every call (a lost device), 2 the call succeeds and its work fails later, with its context.
__attribute__((visibility("default"))) void standin_cuda_fail(const char* function, uint64_t nth, int code, int mode);
// No call fails any more, no device is lost, no context has failed, copies take their usual time, nothing is limited.
__attribute__((visibility("default"))) void standin_cuda_reset();
__attribute__((visibility("default"))) void standin_cuda_limit_locked(uint64_t bytes);
__attribute__((visibility("default"))) void standin_cuda_slow_copies(uint64_t microseconds, uint64_t bytes_per_second);
// cuFile: its mode, as STANDIN_CUFILE in the environment, and how many bytes a transfer moves at most.
__attribute__((visibility("default"))) void standin_cuda_cufile(const char* mode, uint64_t most_bytes);
__attribute__((visibility("default"))) void standin_cuda_abort_on_violation(int abort);
// How many were recorded since the last call; the text of them goes to `text`.
__attribute__((visibility("default"))) size_t standin_cuda_take_violations(char* text, size_t bytes);
// What is alive and how often each function was called, as JSON.
__attribute__((visibility("default"))) void standin_cuda_describe(char* text, size_t bytes);
__attribute__((visibility("default"))) uint64_t standin_cuda_calls(const char* function);
// Reads and writes device memory at once, whatever streams do. 0: not in memory that is alive.
__attribute__((visibility("default"))) int standin_cuda_read(uint64_t pointer, void* to, size_t bytes);
__attribute__((visibility("default"))) int standin_cuda_write(uint64_t pointer, const void* from, size_t bytes);

}  // extern "C"

#endif  // STANDIN_CUDA_CONTROL_H_
