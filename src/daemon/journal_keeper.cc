#include "daemon/journal_keeper.h"

#include <unistd.h>

#include <array>
#include <ctime>
#include <utility>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include "core/governor.h"

namespace tonnage {
namespace {

// What a killed daemon may not have written yet.
constexpr auto kFlushEvery = std::chrono::milliseconds(200);
// A disk that refused is tried again after this.
constexpr auto kRetryAfter = std::chrono::seconds(30);

// "20261121T104500Z-4711": sorts by time.
std::string name_of_run(std::int64_t unix_us) {
  const std::time_t seconds = unix_us / 1'000'000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &utc);
  return std::string(text.data()) + "-" + std::to_string(::getpid());
}

}  // namespace

JournalKeeper::JournalKeeper(boost::asio::io_context& io, const Config& config,
                             std::int64_t unix_us_at_zero)
    : io_(io),
      enabled_(config.journal.enabled),
      recorder_({TONNAGE_VERSION, name_of_run(unix_us_at_zero), unix_us_at_zero},
                {.segment_max = config.journal.segment_max}),
      files_(journal::journal_folder(config.state_dir), recorder_.identity().run,
             config.journal.segment_max, config.journal.total_max),
      timer_(io) {}

JournalKeeper::~JournalKeeper() {
  // The worker must be idle before this thread touches the files.
  worker_.join();
  for (const journal::Chunk& chunk : recorder_.take()) {
    if (!enabled_ || failing_ || !files_.write(chunk))
      return;
  }
}

void JournalKeeper::before_step(const Governor& governor) {
  if (!enabled_ || !recorder_.needs_segment())
    return;
  if (failing_ && std::chrono::steady_clock::now() < retry_at_)
    return;
  recorder_.begin_segment(governor.state());
}

void JournalKeeper::stepped(Tick now, const Event& event, const Actions& actions) {
  recorder_.record(now, event, actions);
  if (!armed_ && recorder_.has_pending())
    arm();
}

void JournalKeeper::arm() {
  armed_ = true;
  timer_.expires_after(kFlushEvery);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error)
      return;
    flush();
  });
}

void JournalKeeper::flush() {
  boost::asio::post(worker_, [this, chunks = recorder_.take()] {
    Result<void> result;
    for (const journal::Chunk& chunk : chunks) {
      result = files_.write(chunk);
      if (!result)
        break;
    }
    boost::asio::post(io_, [this, result] { written(result); });
  });
}

void JournalKeeper::written(const Result<void>& result) {
  armed_ = false;
  if (!result) {
    recorder_.lost();
    retry_at_ = std::chrono::steady_clock::now() + (failing_ ? kRetryAfter : kFlushEvery);
    if (!std::exchange(failing_, true)) {
      spdlog::warn("{}; tonnage goes on without it and tries again", result.error().text());
    }
    return;
  }
  if (std::exchange(failing_, false))
    spdlog::info("the journal is written again");
  if (recorder_.has_pending())
    arm();
}

void JournalKeeper::tell_request(RequestId request, const Policy& policy, Told done) {
  const auto& latest = recorder_.latest();
  std::vector<std::string> lines(latest.begin(), latest.end());
  boost::asio::post(worker_, [this, request, policy = Policy(policy), done = std::move(done),
                              lines = std::move(lines)]() mutable {
    journal::Story story = journal::Story::of_request(request, std::move(policy));
    for (const std::string& line : lines) {
      if (const auto step = journal::decode_step(line))
        story.take(*step);
    }
    boost::asio::post(
        io_, [done = std::move(done), told = story.lines()]() mutable { done(std::move(told)); });
  });
}

}  // namespace tonnage
