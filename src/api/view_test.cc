#include "api/view.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "api/memory_api.h"
#include "api/snapshot_fixture.h"

namespace tonnage::api {
namespace {

using nlohmann::json;

class Views : public SnapshotFixture {
 protected:
  // A key that may use `embed` and `big`, but not `org/chat`.
  KeyRule rule_{.name = "k", .key = {}, .scopes = Scopes::all(), .models = {"embed", "b*"}};
  Caller limited_{&rule_, Scopes::all()};
  Caller all_{nullptr, Scopes::all()};

  ApiContext seen_by(const View& view) const { return {view.policy(), faces_, {0}}; }
};

TEST_F(Views, WhoIsNotLimitedSeesEverything) {
  const View view(policy_, all_);
  EXPECT_FALSE(view.limited());
  EXPECT_TRUE(view.sees(ModelId{0}));
  EXPECT_EQ(view.of(snapshot_).models.size(), 3U);
  EXPECT_EQ(&view.policy(), &policy_);
}

TEST_F(Views, ALimitedKeySeesItsModelsAndTheirSums) {
  snapshot_.models[1].waiting = 1;
  snapshot_.problems.push_back({"load_stalled", "the load of org/chat takes long"});
  const View view(policy_, limited_);
  const Snapshot seen = view.of(snapshot_);
  ASSERT_EQ(seen.models.size(), 2U);
  EXPECT_EQ(seen.models[0].id, "embed");
  EXPECT_EQ(seen.leases, 0);
  EXPECT_EQ(seen.waiting, 1);
  const std::string status = status_json(seen, seen_by(view), {});
  EXPECT_EQ(status.find("org/chat"), std::string::npos) << status;
  EXPECT_NE(status.find("load_stalled"), std::string::npos);
}

TEST_F(Views, DecisionsAboutOthersAreHiddenAndTheirNamesAreNotTold) {
  const View view(policy_, limited_);
  std::vector<const LoggedDecision*> seen;
  for (const LoggedDecision* entry : all()) {
    if (view.shows(entry->decision))
      seen.push_back(entry);
  }
  ASSERT_EQ(seen.size(), 1U) << "the eviction of big for org/chat";
  const std::string text = decision_json(*seen[0], seen_by(view));
  EXPECT_EQ(text.find("org/chat"), std::string::npos) << text;
  EXPECT_EQ(json::parse(text)["other"], "another model");
  EXPECT_EQ(json::parse(text)["victims"], json({"big"}));
}

TEST_F(Views, AStoryIsToldToWhoMayUseItsModel) {
  const View view(policy_, limited_);
  const std::vector<StoryRow> own{{Tick(1s), "Request 7 asked for embed with normal priority."},
                                  {Tick(2s), "embed waits for org/chat."}};
  const std::vector<StoryRow> other{{Tick(1s), "Request 8 asked for org/chat with low priority."}};
  EXPECT_TRUE(view.shows_story(own));
  EXPECT_FALSE(view.shows_story(other));
  EXPECT_TRUE(View(policy_, all_).shows_story(other));
  EXPECT_EQ(view.without_others(own[1].text), "embed waits for another model.");
  EXPECT_EQ(view.without_others("org/chatter"), "org/chatter");
}

TEST_F(Views, ADecisionAboutNoModelIsEverybodys) {
  const View view(policy_, limited_);
  EXPECT_TRUE(view.shows({.kind = DecisionKind::level, .pool = PoolId{0}}));
}

}  // namespace
}  // namespace tonnage::api
