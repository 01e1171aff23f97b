#include "io/transfer.h"

#include <cerrno>
#include <semaphore>
#include <utility>

namespace tensor_checkpoint {
namespace {

bool FitsDirect(const IoRequest& r) {
  const DirectAlignment a = r.file->direct();
  return a.possible() && r.offset % a.offset == 0 && r.bytes % a.offset == 0 &&
         reinterpret_cast<uintptr_t>(r.data) % a.memory == 0;
}

void Continue(FileSystem& fs, IoRequest rest, size_t moved, IoDone done) {
  fs.Submit(rest, [&fs, rest, moved, done = std::move(done)](IoResult result) mutable {
    if (!result.status.ok()) {
      if (result.status.error() == EINTR) return Continue(fs, rest, moved, std::move(done));
      if (result.status.error() == EINVAL && rest.direct && rest.kind != IoRequest::Kind::kSync) {
        rest.direct = false;
        return Continue(fs, rest, moved, std::move(done));
      }
      return done({std::move(result.status), moved});
    }
    moved += result.bytes;
    if (rest.kind == IoRequest::Kind::kSync || result.bytes == rest.bytes) return done({Status::Ok(), moved});
    if (result.bytes == 0) {
      if (rest.kind == IoRequest::Kind::kRead) return done({Status::Ok(), moved});
      return done({Status(Code::kIoError, "pwrite '" + rest.file->path() + "' wrote nothing", rest.file->path(),
                          static_cast<int64_t>(rest.offset)),
                   moved});
    }
    rest.data += result.bytes;
    rest.bytes -= result.bytes;
    rest.offset += result.bytes;
    if (rest.direct && !FitsDirect(rest)) rest.direct = false;
    Continue(fs, rest, moved, std::move(done));
  });
}

}  // namespace

void Transfer(FileSystem& fs, const IoRequest& request, IoDone done) {
  if (request.bytes == 0 && request.kind != IoRequest::Kind::kSync) return done({});
  Continue(fs, request, 0, std::move(done));
}

IoResult TransferAndWait(FileSystem& fs, const IoRequest& request) {
  IoResult outcome;
  std::binary_semaphore finished(0);
  Transfer(fs, request, [&](IoResult result) {
    outcome = std::move(result);
    finished.release();
  });
  finished.acquire();
  return outcome;
}

}  // namespace tensor_checkpoint
