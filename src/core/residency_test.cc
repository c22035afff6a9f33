#include "core/residency.h"

#include <set>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

using enum ResidencyState;

TEST(Residency, TheTableOfLegalEdges) {
  const std::set<std::pair<ResidencyState, ResidencyState>> legal = {
      {absent, profiling}, {absent, loading},    {profiling, absent}, {profiling, failed},
      {loading, ready},    {loading, stopping},  {loading, absent},   {loading, failed},
      {ready, draining},   {ready, stopping},    {ready, absent},     {ready, failed},
      {draining, ready},   {draining, stopping}, {draining, absent},  {draining, failed},
      {stopping, absent},  {stopping, failed},   {failed, absent},
  };
  for (const ResidencyState from :
       {absent, profiling, loading, ready, draining, stopping, failed}) {
    for (const ResidencyState to :
         {absent, profiling, loading, ready, draining, stopping, failed}) {
      EXPECT_EQ(is_legal(from, to), legal.contains({from, to}))
          << to_text(from) << " -> " << to_text(to);
    }
  }
}

TEST(Residency, StatesAndTiersHaveDistinctNames) {
  std::set<std::string> names;
  for (const ResidencyState state :
       {absent, profiling, loading, ready, draining, stopping, failed}) {
    names.insert(std::string(to_text(state)));
  }
  EXPECT_EQ(names.size(), 7U);
  EXPECT_EQ(to_text(Tier::disk), "disk");
  EXPECT_EQ(to_text(Tier::host), "host");
  EXPECT_EQ(to_text(Tier::gpu), "gpu");
}

}  // namespace
}  // namespace tonnage
