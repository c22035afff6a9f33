#include "daemon/device_watch.h"

#include <future>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tonnage {
namespace {

using testing::ElementsAre;

// Surveys that end when the test says so; each is known by its number.
class DeviceWatchTest : public testing::Test {
 protected:
  DeviceSurvey survey() {
    began_.set_value();
    go_.get_future().wait();
    go_ = {};
    DeviceSurvey survey;
    survey.failed.push_back({std::to_string(++surveys_), {}});
    return survey;
  }
  void await_begin() {
    began_.get_future().wait();
    began_ = {};
  }
  void finish() {
    go_.set_value();
    io_.run_one();
  }

  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> keep_{
      io_.get_executor()};
  std::promise<void> began_;
  std::promise<void> go_;
  int surveys_ = 0;
  std::vector<std::string> taken_;
  DeviceWatch watch_{io_, [this] { return survey(); },
                     [this](const DeviceSurvey& s) { taken_.push_back(s.failed[0].source); }};
};

TEST_F(DeviceWatchTest, NeverTwoAtOnce) {
  watch_.look();
  await_begin();
  watch_.look();
  watch_.look();
  finish();
  EXPECT_THAT(taken_, ElementsAre("1"));
  watch_.look();
  await_begin();
  finish();
  EXPECT_THAT(taken_, ElementsAre("1", "2"));
  EXPECT_EQ(surveys_, 2);
}

TEST_F(DeviceWatchTest, WhatBeganTooEarlyIsDropped) {
  watch_.look();
  await_begin();
  watch_.look_afresh();
  finish();
  EXPECT_TRUE(taken_.empty());
  await_begin();
  finish();
  EXPECT_THAT(taken_, ElementsAre("2"));
}

TEST_F(DeviceWatchTest, AfterItsEndNothingIsTaken) {
  watch_.look();
  await_begin();
  watch_.stop();
  finish();
  watch_.look();
  EXPECT_TRUE(taken_.empty());
  EXPECT_EQ(surveys_, 1);
}

}  // namespace
}  // namespace tonnage
