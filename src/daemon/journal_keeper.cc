#include "daemon/journal_keeper.h"

#include <unistd.h>

#include <algorithm>
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

// "000007-20261121T104500Z-4711". The number tells runs apart whose clock begins anew with each
// boot, and whose process has the same number each time, as in a container.
std::string new_run(const Config& config, std::int64_t unix_us) {
  const std::time_t seconds = unix_us / 1'000'000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &utc);
  std::string name = std::string(text.data()) + "-" + std::to_string(::getpid());
  if (!config.journal.enabled)
    return name;
  return journal::name_of_run(journal::next_run_number(journal::journal_folder(config.state_dir)),
                              name);
}

}  // namespace

JournalKeeper::JournalKeeper(boost::asio::io_context& io, Workers& workers, const Config& config,
                             std::int64_t unix_us_at_zero)
    : io_(io),
      enabled_(config.journal.enabled),
      recorder_({TONNAGE_VERSION, new_run(config, unix_us_at_zero), unix_us_at_zero},
                {.segment_max = config.journal.segment_max}),
      files_(journal::journal_folder(config.state_dir), recorder_.identity().run,
             config.journal.segment_max, config.journal.total_max),
      timer_(io),
      lane_(workers.lane("journal")),
      reader_(workers.lane("stories")) {}

JournalKeeper::~JournalKeeper() {
  reader_.drain();
  // The worker must be idle before this thread touches the files.
  lane_.drain();
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
  const bool taken = lane_.post([this, chunks = recorder_.take()] {
    Result<void> result;
    for (const journal::Chunk& chunk : chunks) {
      result = files_.write(chunk);
      if (!result)
        break;
    }
    boost::asio::post(io_, [this, result] { written(result); });
  });
  if (!taken)
    written(fail("cannot write the journal", {}, "too much else is to be done with it"));
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

std::optional<std::uint64_t> JournalKeeper::tell_request(RequestId request, const Policy& policy,
                                                         Told done) {
  if (asked_.size() >= kAskedMax)
    return std::nullopt;
  policy_ = &policy;
  const std::uint64_t number = next_question_++;
  asked_.emplace(number, Question{request, std::move(done)});
  if (!reading_)
    read_stories();
  return number;
}

void JournalKeeper::forget_story(std::uint64_t question) {
  asked_.erase(question);
}

// The blocks are shared with the recorder, which changes none of them.
void JournalKeeper::read_stories() {
  Stories stories;
  for (const auto& [number, question] : asked_)
    stories.emplace(number, journal::Story::of_request(question.request, *policy_));
  reading_ = !stories.empty();
  if (!reading_)
    return;
  // Its only piece of work: told() asks for the next.
  (void)reader_.post(
      [this, blocks = recorder_.latest().blocks(), stories = std::move(stories)]() mutable {
        for (auto& block : blocks) {
          std::string_view rest = *block;
          while (!rest.empty()) {
            const std::size_t end = std::min(rest.find('\n'), rest.size() - 1);
            const auto step = journal::decode_step(rest.substr(0, end + 1));
            rest.remove_prefix(end + 1);
            if (!step)
              continue;
            for (auto& [number, story] : stories)
              story.take(*step);
          }
          block.reset();
        }
        boost::asio::post(
            io_, [this, stories = std::move(stories)]() mutable { told(std::move(stories)); });
      });
}

void JournalKeeper::told(Stories stories) {
  for (const auto& [number, story] : stories) {
    auto question = asked_.extract(number);
    if (!question.empty())
      question.mapped().done(story.lines());
  }
  read_stories();
}

}  // namespace tonnage
