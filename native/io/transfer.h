#ifndef TENSOR_CHECKPOINT_IO_TRANSFER_H_
#define TENSOR_CHECKPOINT_IO_TRANSFER_H_

#include "io/file_system.h"

namespace tensor_checkpoint {

// Carries a request out to its end: interrupted calls (EINTR) are repeated and short ones continued — the one place
// where that is done. A direct request whose rest no longer fits the file's alignment goes on buffered, and so does one
// that the file system refuses with EINVAL although it had offered direct I/O.
//
// `done` gets all the bytes or the failure; a read may end early at the end of the file. A sync that fails is not
// repeated (the kernel may have dropped the pages and marked them clean).
void Transfer(FileSystem& fs, const IoRequest& request, IoDone done);

// The same, waited for; by system calls of this thread, unless the file system makes them in another way. Not on an
// executor's last thread: the transfer may need it.
IoResult TransferAndWait(FileSystem& fs, const IoRequest& request);

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_IO_TRANSFER_H_
