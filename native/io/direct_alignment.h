#ifndef TENSOR_CHECKPOINT_IO_DIRECT_ALIGNMENT_H_
#define TENSOR_CHECKPOINT_IO_DIRECT_ALIGNMENT_H_

#include "io/file_system.h"

namespace tensor_checkpoint {

// What direct I/O on this open file asks for, by the file system's own word (STATX_DIOALIGN, Linux 6.1); where it has
// none to say, 4096 and 4096, which every device takes. Not possible where the file system says so.
DirectAlignment QueryDirectAlignment(int fd);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_DIRECT_ALIGNMENT_H_
