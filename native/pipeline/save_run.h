#ifndef TENSOR_CHECKPOINT_PIPELINE_SAVE_RUN_H_
#define TENSOR_CHECKPOINT_PIPELINE_SAVE_RUN_H_

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "pipeline/extents.h"

namespace tensor_checkpoint {

// Runs one save program, step after step, on the thread that calls Run(); bytes move on the executor's threads.
//
// Before the committing publish a failure or an abort removes every file that the program created; after it the undo
// steps run and temporary files that remain are removed.
class SaveRun {
 public:
  SaveRun(SaveProgram program, FileSystem& fs, Executor& executor, StagingPool& staging,
          const std::atomic<bool>& aborted, EventSink& sink, CudaDevices* devices = nullptr);
  void Run();

 private:
  Failure RunStep(const Step& step);
  Failure CreateBlob(const Step& step);
  Failure Write();
  Failure FinishBlob(const Step& step);
  Failure Sync();
  Failure Publish(const Step& step);
  Failure Link(const Step& step);
  void CleanUp(bool& undone);
  void Warn(const char* kind, Failure failure);
  void Emit(Event event);
  double Seconds() const;

  SaveProgram program_;
  FileSystem& fs_;
  Executor& executor_;
  StagingPool& staging_;
  const std::atomic<bool>& aborted_;
  EventSink& sink_;
  CudaDevices* const devices_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();

  std::vector<std::unique_ptr<File>> files_;
  std::vector<std::unique_ptr<File>> blob_files_;
  std::vector<std::unique_ptr<File>> linked_files_;
  std::vector<File*> unsynced_;
  std::vector<std::string> created_;    // Data files and temporary files that exist because of this program.
  std::vector<std::string> temporary_;  // Those of them that were not renamed yet.
  std::vector<uint32_t> checksums_;
  Stats stats_;
  bool published_ = false;
  bool committed_ = false;
  bool captured_ = false;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_SAVE_RUN_H_
