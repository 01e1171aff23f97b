#include "tensorflow/find_runtime.h"

#include <dlfcn.h>
#include <link.h>

#include <cstdlib>
#include <string_view>

namespace tensor_checkpoint {
namespace {

constexpr std::string_view kVariable = "TENSOR_CHECKPOINT_TENSORFLOW";

struct Libraries {
  // tfjs_binding.node, tfjs-node's addon: looked up through it, a symbol is the one that tfjs-node calls.
  std::vector<std::string> addons;
  std::vector<std::string> runtimes;
};

Libraries LoadedLibraries() {
  Libraries found;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* out) {
        const std::string_view path = info->dlpi_name == nullptr ? "" : info->dlpi_name;
        const std::string_view name = path.substr(path.rfind('/') + 1);
        auto& libraries = *static_cast<Libraries*>(out);
        if (name.starts_with("tfjs_binding")) libraries.addons.emplace_back(path);
        if (name.starts_with("libtensorflow")) libraries.runtimes.emplace_back(path);
        return 0;
      },
      &found);
  return found;
}

}  // namespace

Result<TensorFlowApi> LoadTensorFlowApi(const std::vector<SymbolLookup>& libraries, bool must_agree,
                                        const std::string& hidden) {
  TensorFlowApi api{};
  std::string missing;
  std::string ambiguous;
  ForEachSymbol(api, [&](const char* name, void** slot) {
    for (const SymbolLookup& lookup : libraries) {
      void* found = hidden == name ? nullptr : lookup(name);
      if (found == nullptr) continue;
      if (*slot == nullptr) *slot = found;
      if (*slot != found && ambiguous.empty()) ambiguous = name;
    }
    if (*slot == nullptr && missing.empty()) missing = name;
  });
  if (!missing.empty()) {
    return Status(Code::kUnsupported, "the loaded TensorFlow library has no " + missing + " in its C API");
  }
  if (must_agree && !ambiguous.empty()) {
    return Status(Code::kUnsupported, "two TensorFlow runtimes are loaded, each with a " + ambiguous);
  }
  return api;
}

Result<TensorFlowApi> FindTensorFlow() {
  const char* setting = std::getenv(kVariable.data());
  const std::string_view value = setting == nullptr ? std::string_view() : setting;
  if (value == "off") return Status(Code::kUnsupported, "TENSOR_CHECKPOINT_TENSORFLOW is off");
  constexpr std::string_view kWithout = "without:";
  const std::string hidden(value.starts_with(kWithout) ? value.substr(kWithout.size()) : std::string_view());

  std::vector<SymbolLookup> libraries;
  const Libraries loaded = LoadedLibraries();
  const bool through_addons = !loaded.addons.empty();
  for (const std::string& path : through_addons ? loaded.addons : loaded.runtimes) {
    // Not closed again: functions found here are called until the process ends.
    void* library = dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    if (library != nullptr) libraries.push_back([library](const char* name) { return dlsym(library, name); });
  }
  if (libraries.empty()) return Status(Code::kUnsupported, "no TensorFlow library is loaded in this process");
  return LoadTensorFlowApi(libraries, through_addons, hidden);
}

}  // namespace tensor_checkpoint
