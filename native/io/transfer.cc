#include "io/transfer.h"

#include <atomic>
#include <cerrno>
#include <memory>
#include <semaphore>
#include <utility>

namespace tensor_checkpoint {
namespace {

bool FitsDirect(const IoRequest& r) {
  const DirectAlignment a = r.file->direct();
  return a.possible() && r.offset % a.offset == 0 && r.bytes % a.offset == 0 &&
         reinterpret_cast<uintptr_t>(r.data) % a.memory == 0;
}

// One transfer, request after request. It owns itself: each submission holds it until its completion has been handled.
// A completion that comes before Submit returns is handled by the loop that submitted, not inside of the completion:
// a thousand short calls must not become a stack a thousand deep.
class Ongoing : public std::enable_shared_from_this<Ongoing> {
 public:
  Ongoing(FileSystem& fs, const IoRequest& request, IoDone done) : fs_(fs), rest_(request), done_(std::move(done)) {}

  void Run() {
    do {
      other_side_is_through_ = false;
      fs_.Submit(rest_, [self = shared_from_this()](IoResult result) {
        self->result_ = std::move(result);
        if (self->other_side_is_through_.exchange(true) && self->Advance()) self->Run();
      });
    } while (other_side_is_through_.exchange(true) && Advance());
  }

 private:
  // Takes in result_; false: that was the end, and the caller has been told.
  bool Advance() {
    const bool is_sync = rest_.kind == IoRequest::Kind::kSync;
    if (!result_.status.ok()) {
      if (result_.status.error() == EINTR) return true;
      if (result_.status.error() == EINVAL && rest_.direct && !is_sync) {
        rest_.direct = false;
        return true;
      }
      return End(std::move(result_.status));
    }
    moved_ += result_.bytes;
    if (is_sync || result_.bytes == rest_.bytes) return End(Status::Ok());
    if (result_.bytes == 0) {
      if (rest_.kind == IoRequest::Kind::kRead) return End(Status::Ok());
      return End(Status(Code::kIoError, "pwrite '" + rest_.file->path() + "' wrote nothing", rest_.file->path(),
                        static_cast<int64_t>(rest_.offset)));
    }
    rest_.data += result_.bytes;
    rest_.bytes -= result_.bytes;
    rest_.offset += result_.bytes;
    if (rest_.direct && !FitsDirect(rest_)) rest_.direct = false;
    return true;
  }

  bool End(Status status) {
    done_({std::move(status), moved_});
    return false;
  }

  FileSystem& fs_;
  IoRequest rest_;
  const IoDone done_;
  size_t moved_ = 0;
  IoResult result_;
  // Set by the submitter when Submit has returned and by the completion when result_ is there; the second one goes on.
  std::atomic<bool> other_side_is_through_ = false;
};

}  // namespace

void Transfer(FileSystem& fs, const IoRequest& request, IoDone done) {
  if (request.bytes == 0 && request.kind != IoRequest::Kind::kSync) return done({});
  std::make_shared<Ongoing>(fs, request, std::move(done))->Run();
}

IoResult TransferAndWait(FileSystem& fs, const IoRequest& request) {
  IoResult outcome;
  std::binary_semaphore finished(0);
  IoRequest waited_for = request;
  waited_for.waited_for = true;
  Transfer(fs, waited_for, [&](IoResult result) {
    outcome = std::move(result);
    finished.release();
  });
  finished.acquire();
  return outcome;
}

}  // namespace tensor_checkpoint
