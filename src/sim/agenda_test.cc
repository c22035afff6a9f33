#include "sim/agenda.h"

#include <string>

#include <gtest/gtest.h>

namespace tonnage::sim {
namespace {

TEST(Agenda, entries_leave_by_time_and_then_in_the_order_in_which_they_came) {
  Agenda<std::string> agenda;
  agenda.add(Tick{2s}, "c");
  agenda.add(Tick{1s}, "a");
  agenda.add(Tick{2s}, "d");
  agenda.add(Tick{1s}, "b");
  std::string order;
  while (!agenda.empty())
    order += agenda.take().item;
  EXPECT_EQ(order, "abcd");
}

TEST(Agenda, next_at_is_the_earliest) {
  Agenda<int> agenda;
  agenda.add(Tick{5s}, 1);
  agenda.add(Tick{3s}, 2);
  EXPECT_EQ(agenda.next_at(), Tick{3s});
}

}  // namespace
}  // namespace tonnage::sim
