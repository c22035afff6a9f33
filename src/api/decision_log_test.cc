#include "api/decision_log.h"

#include <gtest/gtest.h>

namespace tonnage::api {
namespace {

Decision about(std::uint32_t model, DecisionKind kind = DecisionKind::load) {
  Decision decision;
  decision.model = ModelId{model};
  decision.kind = kind;
  return decision;
}

std::vector<std::uint64_t> seqs(const DecisionLog& log, const DecisionFilter& filter) {
  std::vector<std::uint64_t> found;
  for (const LoggedDecision* entry : log.query(filter))
    found.push_back(entry->seq);
  return found;
}

TEST(DecisionLog, ForgetsTheOldest) {
  DecisionLog log(3);
  EXPECT_EQ(log.first_seq(), 1u);
  EXPECT_EQ(log.last_seq(), 0u);
  for (std::uint32_t i = 0; i < 5; ++i)
    EXPECT_EQ(log.append(about(i)).seq, i + 1);
  EXPECT_EQ(seqs(log, {}), (std::vector<std::uint64_t>{3, 4, 5}));
  EXPECT_EQ(log.first_seq(), 3u);
  EXPECT_EQ(log.last_seq(), 5u);
}

TEST(DecisionLog, FindsAModelInEveryRole) {
  DecisionLog log;
  log.append(about(0));
  log.append(about(1));
  Decision for_its_sake = about(1, DecisionKind::evict);
  for_its_sake.other = ModelId{0};
  log.append(for_its_sake);
  Decision among_victims = about(2);
  among_victims.victims = {ModelId{1}, ModelId{0}};
  log.append(among_victims);
  EXPECT_EQ(seqs(log, {.model = ModelId{0}}), (std::vector<std::uint64_t>{1, 3, 4}));
}

TEST(DecisionLog, FiltersByKindAndAgeAndGivesTheNewest) {
  DecisionLog log;
  for (std::uint32_t i = 0; i < 6; ++i) {
    log.append(about(0, i % 2 == 0 ? DecisionKind::load : DecisionKind::evict));
  }
  EXPECT_EQ(seqs(log, {.kinds = {DecisionKind::evict}}), (std::vector<std::uint64_t>{2, 4, 6}));
  EXPECT_EQ(seqs(log, {.after_seq = 4}), (std::vector<std::uint64_t>{5, 6}));
  EXPECT_EQ(seqs(log, {.kinds = {DecisionKind::evict}, .limit = 2}),
            (std::vector<std::uint64_t>{4, 6}));
  EXPECT_TRUE(seqs(log, {.limit = 0}).empty());
}

TEST(DecisionLog, CutsLongTextBetweenCharacters) {
  DecisionLog log;
  Decision decision = about(0);
  decision.text = std::string(DecisionLog::kTextBytesMax - 1, 'x') + "\xC3\xA9 and more";
  EXPECT_EQ(log.append(decision).decision.text, std::string(DecisionLog::kTextBytesMax - 1, 'x'));
}

}  // namespace
}  // namespace tonnage::api
