#include "engine/llama/model_looks.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace tonnage {
namespace {

// A header names hundreds of settings, and texts of up to 4 KiB.
constexpr std::size_t kLookBytesMax = std::size_t{4} << 20;
// Arguments of one process; the kernel allows 2 MiB.
constexpr std::size_t kModelsPerProcess = 200;

RunRequest look_request(const std::string& program, LookDepth depth,
                        std::span<const std::string> keys, Duration timeout) {
  RunRequest request;
  request.argv = look_arguments(depth, keys);
  request.argv.insert(request.argv.begin(), program);
  request.timeout = timeout;
  request.output_bytes_max = kLookBytesMax * keys.size();
  request.nice = 0;
  request.partial = true;
  return request;
}

Result<ModelLook> judge(const std::string& key, const Result<RunOutput>& output) {
  if (!output)
    return std::unexpected(output.error());
  std::vector<ModelLook> looks = decode_looks(output->out);
  if (!looks.empty())
    return std::move(looks.front());
  return fail("cannot look at", file_of_key(key),
              output->timed_out
                  ? "its file system did not answer within " + to_text(ModelLooks::kLookMax)
                  : to_text(output->status));
}

}  // namespace

ModelLooks::ModelLooks(boost::asio::io_context& io, ProcessRunner& runner, std::string program)
    : io_(io), runner_(runner), program_(std::move(program)) {}

bool ModelLooks::hangs(const std::string& key) {
  const auto found = hanging_.find(key);
  if (found == hanging_.end())
    return false;
  if (runner_.pid(found->second))
    return true;
  hanging_.erase(found);
  return false;
}

void ModelLooks::look(const std::string& key, LookDepth depth, Looked done) {
  waiting_.push_back({key, depth, std::move(done)});
  begin_next();
}

void ModelLooks::begin_next() {
  while (under_way_.size() < kAtOnceMax) {
    const auto next = std::ranges::find_if(
        waiting_, [this](const Waiting& w) { return !under_way_.contains(w.key); });
    if (next == waiting_.end())
      return;
    Waiting look = std::move(*next);
    waiting_.erase(next);
    begin(std::move(look));
  }
}

void ModelLooks::begin(Waiting look) {
  const std::string key = look.key;
  under_way_.insert(key);
  // Processes that ask about a file that hangs would heap up; the answer is known.
  if (hangs(key)) {
    boost::asio::post(io_, [this, key, done = std::move(look.done)] {
      end(key, done,
          fail("cannot look at", file_of_key(key), "an earlier look still hangs in the kernel",
               "its file system does not answer: is it a network mount?"));
    });
    return;
  }
  const auto run = std::make_shared<RunId>(0);
  *run =
      runner_.run(look_request(program_, look.depth, std::span(&key, 1), kLookMax),
                  [this, run, key, done = std::move(look.done)](const Result<RunOutput>& output) {
                    if (output && runner_.pid(*run))
                      hanging_[key] = *run;
                    end(key, done, judge(key, output));
                  });
}

void ModelLooks::end(const std::string& key, const Looked& done, Result<ModelLook> look) {
  under_way_.erase(key);
  if (look)
    learn(*look);
  if (done)
    done(std::move(look));
  begin_next();
}

void ModelLooks::drop(const std::vector<std::string>& keys) {
  std::vector<std::string> answering;
  std::ranges::copy_if(keys, std::back_inserter(answering),
                       [this](const std::string& key) { return !hangs(key); });
  if (answering.empty())
    return;
  runner_.run(look_request(program_, LookDepth::drop, answering, kLookMax),
              [](const Result<RunOutput>&) {});
}

const ModelLook* ModelLooks::known(const std::string& key) const {
  const auto found = known_.find(key);
  return found == known_.end() ? nullptr : &found->second;
}

std::int64_t ModelLooks::changed_s(const std::string& key) const {
  const ModelLook* look = known(key);
  return look == nullptr ? 0 : look->changed_s;
}

void ModelLooks::learn(const ModelLook& look) {
  ModelLook& known = known_[look.key];
  known = look;
  known.facts.reset();  // of no use to anybody later
}

std::vector<ModelLook> look_at_all(const std::vector<std::string>& keys, LookDepth depth,
                                   Duration wait_max, std::string program) {
  std::vector<ModelLook> all;
  boost::asio::io_context loop;
  ProcessRunner runner(loop);
  std::size_t left = 0;
  for (std::size_t begin = 0; begin < keys.size(); begin += kModelsPerProcess) {
    const auto part =
        std::span(keys).subspan(begin).first(std::min(kModelsPerProcess, keys.size() - begin));
    ++left;
    runner.run(look_request(program, depth, part, wait_max), [&](Result<RunOutput> output) {
      if (output) {
        for (ModelLook& look : decode_looks(output->out))
          all.push_back(std::move(look));
      }
      if (--left == 0)
        loop.stop();
    });
  }
  if (left > 0)
    loop.run();
  return all;
}

}  // namespace tonnage
