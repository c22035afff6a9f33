#include "api/client_facts.h"

#include <gtest/gtest.h>

namespace tonnage::api {
namespace {

ModelSnapshot placed(std::optional<std::int32_t> running, std::optional<std::int32_t> target) {
  ModelSnapshot model;
  if (running)
    model.placement = Placement{0, *running, 2, KvType::f16};
  if (target)
    model.target = Placement{0, *target, 2, KvType::f16};
  return model;
}

ModelFace face(std::int32_t configured, std::optional<std::int32_t> trained = {}) {
  ModelFace made;
  made.configured_context = configured;
  made.trained_context = trained;
  return made;
}

TEST(RequestContext, IsTheLeastOfWhatRunsWhatIsWantedAndWhatWasTrained) {
  EXPECT_EQ(request_context(placed({}, 3072), face(3000)), 3072);
  EXPECT_EQ(request_context(placed(3072, 3072), face(3000)), 3072);
  EXPECT_EQ(request_context(placed(1024, 3072), face(3000)), 1024) << "degraded";
  EXPECT_EQ(request_context(placed(8192, 4096), face(4096)), 4096);
  EXPECT_EQ(request_context(placed(4096, 4096), face(4096, 2048)), 2048);
}

TEST(RequestContext, BeforeAFootprintIsKnownItIsWhatIsConfigured) {
  EXPECT_EQ(request_context(placed({}, {}), face(4096)), 4096);
  EXPECT_EQ(request_context(placed({}, {}), face(4096, 512)), 512);
  EXPECT_EQ(request_context(placed({}, {}), face(0)), std::nullopt);
}

TEST(ClientFacts, AreTheSameNumberInEveryPlace) {
  OrderedJson entry;
  ModelSnapshot model = placed({}, 3072);
  model.type = ModelType::embedding;
  add_client_facts(entry, &model, face(3000, 8192));
  for (const char* name : {"context_length", "context_window", "max_model_len"})
    EXPECT_EQ(entry[name], 3072) << name;
  EXPECT_EQ(entry["meta"]["n_ctx"], 3072);
  EXPECT_EQ(entry["meta"]["n_ctx_train"], 8192);
  EXPECT_EQ(entry["type"], "embedding");
  EXPECT_EQ(entry["capabilities"], OrderedJson({"embedding"}));
}

TEST(ClientFacts, OfNoModelAreNull) {
  OrderedJson entry;
  add_client_facts(entry, nullptr, ModelFace{});
  EXPECT_TRUE(entry["context_length"].is_null());
  EXPECT_TRUE(entry["meta"]["n_ctx"].is_null());
  EXPECT_TRUE(entry["type"].is_null());
  EXPECT_TRUE(entry["capabilities"].empty());
}

}  // namespace
}  // namespace tonnage::api
