#include "tensorflow/find_runtime.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

namespace tensor_checkpoint {
namespace {

// A library that has every symbol but one, each at an address of its own.
SymbolLookup Library(uintptr_t base, const std::string& without = {}) {
  auto symbols = std::make_shared<std::map<std::string, uintptr_t>>();
  TensorFlowApi api{};
  ForEachSymbol(api, [&](const char* name, void**) { (*symbols)[name] = base + symbols->size(); });
  symbols->erase(without);
  return [symbols](const char* name) -> void* {
    const auto found = symbols->find(name);
    return found == symbols->end() ? nullptr : reinterpret_cast<void*>(found->second);
  };
}

void* Address(uintptr_t value) { return reinterpret_cast<void*>(value); }

TEST(LoadTensorFlowApi, TakesEachSymbolFromTheFirstLibraryThatHasIt) {
  auto api = LoadTensorFlowApi({Library(1000, "TF_Version"), Library(2000)}, false, "");
  ASSERT_TRUE(api.ok());
  EXPECT_EQ(reinterpret_cast<void*>(api->TF_Version), Library(2000)("TF_Version"));
  EXPECT_EQ(reinterpret_cast<void*>(api->TF_GetInput), Library(1000)("TF_GetInput"));
  EXPECT_NE(reinterpret_cast<void*>(api->TF_GetInput), Address(0));
}

TEST(LoadTensorFlowApi, NamesASymbolThatNoLibraryHas) {
  const auto api = LoadTensorFlowApi({Library(1000, "TF_SetOutput"), Library(2000, "TF_SetOutput")}, false, "");
  EXPECT_EQ(api.status().code(), Code::kUnsupported);
  EXPECT_NE(api.status().message().find("TF_SetOutput"), std::string::npos);
}

TEST(LoadTensorFlowApi, PassesOverTheHiddenSymbol) {
  const auto api = LoadTensorFlowApi({Library(1000)}, false, "TF_NumInputs");
  EXPECT_NE(api.status().message().find("TF_NumInputs"), std::string::npos);
}

TEST(LoadTensorFlowApi, RefusesTwoRuntimesWhereAllMustAgree) {
  EXPECT_TRUE(LoadTensorFlowApi({Library(1000), Library(1000)}, true, "").ok());
  const auto api = LoadTensorFlowApi({Library(1000), Library(2000)}, true, "");
  EXPECT_EQ(api.status().code(), Code::kUnsupported);
  EXPECT_NE(api.status().message().find("two TensorFlow runtimes"), std::string::npos);
}

TEST(FindTensorFlow, SaysThatNoneIsLoaded) {
  unsetenv("TENSOR_CHECKPOINT_TENSORFLOW");
  const auto api = FindTensorFlow();
  EXPECT_EQ(api.status().code(), Code::kUnsupported);
  EXPECT_EQ(api.status().message(), "no TensorFlow library is loaded in this process");
}

TEST(FindTensorFlow, IsTurnedOffByTheEnvironment) {
  setenv("TENSOR_CHECKPOINT_TENSORFLOW", "off", 1);
  EXPECT_EQ(FindTensorFlow().status().message(), "TENSOR_CHECKPOINT_TENSORFLOW is off");
  unsetenv("TENSOR_CHECKPOINT_TENSORFLOW");
}

}  // namespace
}  // namespace tensor_checkpoint
