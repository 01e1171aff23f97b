#ifndef STANDIN_CUDA_VIOLATIONS_H_
#define STANDIN_CUDA_VIOLATIONS_H_

#include <string>
#include <vector>

// Calls that break a rule of the driver API. Any thread.
namespace standin {

// Records it and, unless told to record only, ends the process.
void Violate(const std::string& what);
void AbortOnViolation(bool abort);
// Those recorded since the last call.
std::vector<std::string> TakeViolations();

}  // namespace standin

#endif  // STANDIN_CUDA_VIOLATIONS_H_
