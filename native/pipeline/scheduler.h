#ifndef TENSOR_CHECKPOINT_PIPELINE_SCHEDULER_H_
#define TENSOR_CHECKPOINT_PIPELINE_SCHEDULER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace tensor_checkpoint {

// Decides which part of the work starts when. Pure: no threads, no clock, no I/O. Events go in (Done, Stop), starts
// come out (Next), so the code that runs for real also runs on a virtual clock.
//
// A task is a chunk on its way through phases, each of which takes a processor or a lane of the task's device. Its
// staging memory is taken when the first phase starts and given back when the last one ends: a full budget is
// back-pressure. Devices pull: the one that delivers more gets more. One thread at a time.
//
// A small task takes only a share of a processor or lane. So tiny ones are started many at a time, which spreads the
// cost of deciding, and a disk gets as many small requests at once as it needs to be as busy as with large ones.
//
// Tasks whose bytes come from or go to an accelerator also pass its copier, which has lanes of its own. Those of
// different copiers don't wait for each other: each one's are begun in their order, beside the others'.
class Scheduler {
 public:
  enum class Resource : uint8_t { kProcessor, kLane, kCopier };
  static constexpr uint32_t kNoCopier = UINT32_MAX;
  static constexpr uint8_t kNoSource = UINT8_MAX;
  // Shares of a whole processor or lane.
  static constexpr uint8_t kWhole = 64;
  struct Task {
    uint64_t staging = 0;
    uint32_t device = 0;
    uint32_t copier = kNoCopier;
    uint8_t phase_count = 0;
    std::array<Resource, 3> phases{};
    // The phase after which the caller's memory is no longer read; kNoSource: none reads it.
    uint8_t releases_source_after = 0;
    bool from_snapshot = false;  // `staging` counts against the snapshot budget.
    uint8_t shares = kWhole;            // 1 … kWhole; SharesOf() its bytes.
  };
  struct Limits {
    uint32_t processors = 1;
    // Of them, so many while no lane waits for one: processors that read memory side by side slow each other down, and
    // a training loop beside them.
    uint32_t processors_beside_lanes = UINT32_MAX;
    uint32_t lanes = 1;  // Per device: requests under way, where they are large.
    uint32_t copier_lanes = 0;  // Per copier.
    uint64_t staging = 0;
    uint64_t snapshot = 0;
    // Per device: tasks under way at once. Large where capturing early matters more than memory.
    uint32_t window = UINT32_MAX;
  };
  struct Start {
    uint32_t task;
    uint8_t phase;
  };

  // From 256 KiB on a task is worth a slot of its own; one of 4 KiB takes a 64th.
  static constexpr uint8_t SharesOf(uint64_t bytes) {
    constexpr uint64_t kShare = 4 << 10;
    const uint64_t shares = (bytes + kShare - 1) / kShare;
    return static_cast<uint8_t>(shares == 0 ? 1 : shares < kWhole ? shares : kWhole);
  }

  Scheduler(std::vector<Task> tasks, uint32_t devices, const Limits& limits, uint32_t copiers = 0);

  // Appends all that may start now. The caller owes a Done() for each.
  void Next(std::vector<Start>& starts);
  // The phase of `task` that was started has ended.
  void Done(uint32_t task);
  // Nothing starts any more; what is under way is to be waited for.
  void Stop() { stopped_ = true; }

  bool IsLast(Start start) const { return start.phase + 1 == tasks_[start.task].phase_count; }
  Resource ResourceOf(Start start) const { return tasks_[start.task].phases[start.phase]; }
  const Limits& limits() const { return limits_; }
  bool idle() const { return running_ == 0; }
  bool finished() const { return finished_ == tasks_.size(); }
  bool sources_released() const { return sources_ == 0; }
  uint64_t staging_used() const { return staging_.used; }

 private:
  // A limit and what is used of it, in shares.
  struct Slots {
    uint64_t limit = 0;
    uint64_t used = 0;
    bool Fit(const Task& task) const { return used + task.shares <= limit; }
  };
  // Slots, and the tasks whose next phase takes one.
  struct Stage {
    std::deque<uint32_t> ready;
    Slots slots;
    bool begins = true;  // Whether it is the first that all its tasks take.
  };
  struct Budget {
    uint64_t limit = 0;
    uint64_t used = 0;
    // A task that is larger than the whole budget goes alone.
    bool Fit(uint64_t bytes) const { return bytes == 0 || used == 0 || used + bytes <= limit; }
  };
  // The tasks of one device and one copier, or none.
  struct Queue {
    std::vector<uint32_t> tasks;  // In their order.
    size_t begun = 0;             // So many of them.
    uint64_t under_way = 0;       // In shares.
  };

  Stage& StageOf(const Task& task, uint8_t phase) {
    switch (task.phases[phase]) {
      case Resource::kProcessor:
        return processors_;
      case Resource::kLane:
        return lanes_[task.device];
      case Resource::kCopier:
        break;
    }
    return copiers_[task.copier];
  }
  Queue& QueueOf(const Task& task) {
    const size_t copier = task.copier == kNoCopier ? 0 : task.copier + 1;
    return queues_[task.device * (copiers_.size() + 1) + copier];
  }
  Budget& BudgetOf(const Task& task) { return task.from_snapshot ? snapshot_ : staging_; }
  bool LanesNeedProcessors() const;
  bool StartReady(Stage& stage, std::vector<Start>& starts);
  bool CanBegin(const Queue& queue);
  void Begin(Queue& queue, std::vector<Start>& starts);
  void Launch(uint32_t task, std::vector<Start>& starts);

  const std::vector<Task> tasks_;
  std::vector<uint8_t> phase_;  // Of each task: the one that runs or comes next.
  std::vector<Stage> lanes_;     // Per device.
  std::vector<Slots> windows_;   // Likewise.
  std::vector<Stage> copiers_;
  Stage processors_;
  std::vector<Queue> queues_;    // Per device: without copier, then per copier.
  const Limits limits_;
  Budget staging_, snapshot_;
  size_t running_ = 0, finished_ = 0, sources_ = 0;
  bool stopped_ = false;
};

}  // namespace tensor_checkpoint

#endif  // TENSOR_CHECKPOINT_PIPELINE_SCHEDULER_H_
