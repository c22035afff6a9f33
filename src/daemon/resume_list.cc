#include "daemon/resume_list.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <utility>

#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "base/whole_file.h"

namespace tonnage {
namespace {

namespace fs = std::filesystem;

constexpr auto kWriteAfter = std::chrono::seconds(1);
constexpr std::uintmax_t kFileBytesMax = 1U << 20U;

void write_file(const fs::path& file, const std::string& text) {
  if (const auto written = write_whole_file(file, text); !written)
    spdlog::warn("{}; what is ready now is not known to the next start", written.error().text());
}

}  // namespace

std::vector<std::string> read_resume_list(const fs::path& file) {
  std::error_code error;
  if (fs::file_size(file, error) > kFileBytesMax || error)
    return {};
  std::ifstream stream(file, std::ios::binary);
  const nlohmann::json json = nlohmann::json::parse(stream, nullptr, false);
  if (!json.is_object() || !json.contains("ready") || !json["ready"].is_array())
    return {};
  std::vector<std::string> ids;
  for (const nlohmann::json& id : json["ready"]) {
    if (id.is_string())
      ids.push_back(id.get<std::string>());
  }
  return ids;
}

std::vector<std::string> ready_models(const Snapshot& snapshot) {
  std::vector<const ModelSnapshot*> ready;
  for (const ModelSnapshot& model : snapshot.models) {
    if (model.state == ResidencyState::ready || model.state == ResidencyState::draining)
      ready.push_back(&model);
  }
  // In use comes before idle, which knows how long.
  std::ranges::stable_sort(ready, {}, [](const ModelSnapshot* model) {
    return model->leases > 0 ? Duration{-1} : model->idle_for.value_or(Duration::max());
  });
  std::vector<std::string> ids;
  for (const ModelSnapshot* model : ready)
    ids.push_back(model->id);
  return ids;
}

ResumeList::ResumeList(boost::asio::io_context& io, Workers& workers, fs::path file, Look look)
    : file_(std::move(file)),
      look_(std::move(look)),
      timer_(io),
      lane_(workers.lane("ready list")) {}

void ResumeList::changed() {
  if (armed_ || closed_)
    return;
  armed_ = true;
  timer_.expires_after(kWriteAfter);
  timer_.async_wait([this](const boost::system::error_code& error) {
    armed_ = false;
    if (!error && !closed_)
      write();
  });
}

void ResumeList::close() {
  if (std::exchange(closed_, true))
    return;
  timer_.cancel();
  write();
}

void ResumeList::write() {
  std::vector<std::string> ready = ready_models(look_());
  if (ready == written_)
    return;
  written_ = std::move(ready);
  const std::string text = nlohmann::json{{"ready", written_}}.dump(
      2, ' ', false, nlohmann::json::error_handler_t::replace);
  if (!lane_.post([file = file_, text] { write_file(file, text + "\n"); }))
    written_.clear();
}

}  // namespace tonnage
