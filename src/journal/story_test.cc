#include "journal/story.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tonnage::journal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Policy two_models() {
  Policy policy;
  policy.pools.push_back({.name = "host", .reserve = {}, .limit = {}});
  for (const char* id : {"a", "b"})
    policy.models.push_back({.id = id, .ttl = {}});
  return policy;
}

Decision waits(ModelId model, ModelId behind) {
  Decision d;
  d.kind = DecisionKind::wait;
  d.reason = ReasonCode::busy_models;
  d.model = model;
  d.need = 3_GiB;
  d.headroom = 1_GiB;
  d.victims = {behind};
  return d;
}

std::vector<std::string> texts(const Story& story) {
  std::vector<std::string> out;
  for (const StoryLine& line : story.lines())
    out.push_back(line.text);
  return out;
}

const RequestId kOne{1};
const RequestId kTwo{2};
const ModelId kA{0};
const ModelId kB{1};

TEST(Story, ARequestThatWaitedIsToldWithWhatItsModelWaitedFor) {
  Story story = Story::of_request(kOne, two_models());
  story.take({1, Tick{1s}, RequestArrived{kOne, kA}, {Decided{waits(kA, kB)}}});
  story.take({2, Tick{2s}, RequestArrived{kTwo, kB}, {Decided{waits(kB, kA)}}});
  story.take({3, Tick{3s}, Timer{}, {Admit{kTwo, kB, Generation(1)}}});
  story.take({4, Tick{4s}, Timer{}, {Admit{kOne, kA, Generation(2)}}});
  story.take({5, Tick{5s}, Timer{}, {Decided{waits(kA, kB)}}});
  story.take({6, Tick{6s}, RequestEnded{kTwo, Generation(1)}, {}});
  story.take({7, Tick{7s}, RequestEnded{kOne, Generation(2)}, {}});
  EXPECT_THAT(texts(story),
              ElementsAre("Request 1 asked for a with normal priority.",
                          "a waits: it needs 3.00 GiB in host; 1.00 GiB is free. b must finish "
                          "first.",
                          // It stands in the way of b, which is why a may have to yield.
                          "b waits: it needs 3.00 GiB in host; 1.00 GiB is free. a must finish "
                          "first.",
                          "It was sent to a after 3s of waiting.",
                          "It was answered after 3s at the server."));
  EXPECT_EQ(story.lines()[3].at, Tick{4s});
}

TEST(Story, TokensAreToldAsEstimatedAndAsCounted) {
  Story story = Story::of_request(kOne, two_models());
  story.take(
      {1, Tick{1s}, RequestArrived{.request = kOne, .model = kA, .context_wished = 900}, {}});
  story.take(
      {2, Tick{2s}, RequestEnded{kOne, Generation(1), RequestOutcome::answered, 700, 650, 9}, {}});
  EXPECT_THAT(texts(story),
              ElementsAre("Request 1 asked for a with normal priority. By estimate it takes 900 "
                          "tokens, prompt and answer together.",
                          "It was answered: its prompt had 700 tokens, of which 650 were kept from "
                          "earlier requests and 50 read, and its answer 9."));
}

TEST(Story, ARefusalIsToldOnce) {
  Decision d;
  d.kind = DecisionKind::refuse;
  d.reason = ReasonCode::shutting_down;
  d.model = kA;
  d.request = kOne;
  Story story = Story::of_request(kOne, two_models());
  story.take({1,
              Tick{1s},
              RequestArrived{kOne, kA},
              {Decided{d}, Refuse{kOne, RefusalStatus::unavailable, d}}});
  EXPECT_THAT(texts(story), ElementsAre("Request 1 asked for a with normal priority.",
                                        "Tonnage is shutting down."));
}

TEST(Story, ARequestThatNeverCameHasNone) {
  Story story = Story::of_request(RequestId(7), two_models());
  story.take({1, Tick{1s}, RequestArrived{kOne, kA}, {Decided{waits(kA, kB)}}});
  EXPECT_THAT(texts(story), IsEmpty());
}

TEST(Story, AModelIsToldByItsDecisionsUnderItsNewestName) {
  Story story = Story::of_model(kB, two_models());
  Policy renamed = two_models();
  renamed.models[1].id = "b2";
  story.take({1, Tick{1s}, PolicyChanged{renamed, {}}, {}});
  story.take({2, Tick{2s}, Timer{}, {Decided{waits(kB, kA)}}});
  EXPECT_THAT(texts(story),
              ElementsAre("b2 waits: it needs 3.00 GiB in host; 1.00 GiB is free. a must "
                          "finish first."));
}

}  // namespace
}  // namespace tonnage::journal
