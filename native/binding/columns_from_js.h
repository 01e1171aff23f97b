#ifndef TENSOR_CHECKPOINT_BINDING_COLUMNS_FROM_JS_H_
#define TENSOR_CHECKPOINT_BINDING_COLUMNS_FROM_JS_H_

#include <span>
#include <vector>

#include "base/status.h"
#include "binding/buffer_table.h"
#include "binding/js_reader.h"
#include "pipeline/program.h"

// What grows with the number of tensors in a program: typed arrays. A million rows take tens of milliseconds to check and
// to copy, so that isn't done in the call that starts the program, while the event loop waits, but on the program's
// thread: here, a program finds its columns (on the JS thread), and turns them into extents and blobs later (on any). JS
// keeps them alive and doesn't change them until its program has ended.
//
// Everything that could make native touch memory or files beyond what the program names is checked.
namespace tensor_checkpoint {

class ExtentColumns {
 public:
  // `addresses`: name of the column with offsets into the buffers.
  static ExtentColumns FromJs(JsReader& reader, Napi::Object program, const char* addresses, bool save);

  // What rows refer to: how many there are of each.
  struct Counts {
    size_t files, tensors, devices;
  };
  Status ToExtents(const BufferTable& buffers, const Counts& counts, std::vector<Extent>& out) const;

 private:
  Status Row(size_t row, const BufferTable& buffers, const Counts& counts, Extent& extent) const;

  bool save_ = false;
  bool has_kind_ = false;
  const char* addresses_ = "";
  std::span<const uint8_t> kind_;
  std::span<const uint32_t> buffer_, file_, tensor_;
  std::span<const double> address_, bytes_, offset_;
};

class BlobColumns {
 public:
  // Also the temporary path, of `blob`.
  static BlobColumns FromJs(JsReader& reader, Napi::Object object, Blob& blob);

  Status ToBlob(size_t tensors, Blob& blob) const;

 private:
  std::span<const uint8_t> bytes_;
  std::span<const double> value_position_, patch_position_, seal_start_, seal_length_, seal_position_;
  std::span<const uint32_t> value_, patch_tensor_;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_BINDING_COLUMNS_FROM_JS_H_
