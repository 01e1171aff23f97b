#include "binding/steps_from_js.h"

#include <string>
#include <utility>

namespace tensor_checkpoint {

std::vector<Step> StepsFromJs(JsReader& reader, Napi::Object program, const char* name, size_t blobs) {
  Napi::Array list = reader.List(program, name);
  std::vector<Step> steps;
  for (uint32_t i = 0; reader.ok() && i < list.Length(); ++i) {
    Napi::Object object = reader.Object(list.Get(i), "step");
    Napi::Value op = reader.Get(object, "op");
    const std::string text = op.IsString() ? op.As<Napi::String>().Utf8Value() : std::string();
    Step step{};
    const auto blob = [&] { step.blob = reader.Index(object, "blob", blobs); };
    const auto path = [&] { step.path = reader.Path(reader.Get(object, "path")); };
    if (text == "create") {
      step.op = Step::Op::kCreate;
      blob();
    } else if (text == "write") {
      step.op = Step::Op::kWrite;
    } else if (text == "finish") {
      step.op = Step::Op::kFinish;
      blob();
    } else if (text == "sync") {
      step.op = Step::Op::kSync;
    } else if (text == "publish") {
      step.op = Step::Op::kPublish;
      blob();
      path();
      step.commits = reader.Flag(object, "commits");
    } else if (text == "link") {
      step.op = Step::Op::kLink;
      step.from = reader.Path(reader.Get(object, "from"));
      path();
    } else if (text == "unlink") {
      step.op = Step::Op::kUnlink;
      path();
    } else if (text == "syncDirectory") {
      step.op = Step::Op::kSyncDirectory;
      path();
      step.optional = reader.Flag(object, "optional");
    } else if (text == "milestone") {
      Napi::Value milestone = reader.Get(object, "name");
      const bool committed = milestone.IsString() && milestone.As<Napi::String>().Utf8Value() == "committed";
      step.op = committed ? Step::Op::kCommitted : Step::Op::kIndexed;
    } else {
      reader.Fail("unknown step '" + text + "'");
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

}  // namespace tensor_checkpoint
