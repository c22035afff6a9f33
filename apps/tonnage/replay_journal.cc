#include "tonnage/replay_journal.h"

#include <utility>

#include "core/governor.h"
#include "journal/reader.h"
#include "journal/segment_files.h"

namespace tonnage {
namespace {

namespace fs = std::filesystem;

std::string without_end(std::string line) {
  if (!line.empty() && line.back() == '\n')
    line.pop_back();
  return line;
}

std::vector<std::string> lines_of(const Actions& actions) {
  std::vector<std::string> lines;
  for (const Action& action : actions) {
    std::string line;
    journal::encode(action, line);
    lines.push_back(without_end(std::move(line)));
  }
  return lines;
}

// What is replayed is compared as the journal writes it: text that is not UTF-8 was replaced.
std::string step_text(const journal::Step& step, const Actions& actions) {
  std::string line;
  journal::encode_step(step.number, step.at, step.event, actions, line);
  return line;
}

class Replay {
 public:
  Result<ReplayReport> run(const std::vector<fs::path>& files) {
    for (const fs::path& file : files) {
      auto reader = journal::SegmentReader::open(file);
      if (!reader)
        return std::unexpected(reader.error());
      if (auto done = segment(*reader); !done)
        return std::unexpected(done.error());
      if (report_.difference)
        break;
    }
    return std::move(report_);
  }

 private:
  Result<void> segment(journal::SegmentReader& reader) {
    begin(reader);
    while (!report_.difference) {
      auto step = reader.next();
      if (!step)
        return std::unexpected(step.error());
      if (!*step)
        break;
      replay(reader, **step);
    }
    if (reader.cut()) {
      report_.notes.push_back(reader.file().string() + ":" + std::to_string(reader.line() + 1) +
                              ": the last line is cut off; everything before it was replayed");
    }
    return {};
  }

  void begin(const journal::SegmentReader& reader) {
    const journal::SegmentHeader& header = reader.header();
    ++report_.segments;
    const bool follows = governor_ && run_ == header.run && next_step_ == header.first_step;
    if (follows) {
      if (!(governor_->state() == header.state)) {
        Difference difference;
        difference.text = "the replayed state is not the one that this segment begins with";
        found(reader, std::move(difference));
      }
    } else if (governor_ && run_ == header.run) {
      report_.notes.push_back(reader.file().string() + ": steps " + std::to_string(next_step_) +
                              " to " + std::to_string(header.first_step - 1) + " are missing");
    }
    governor_.emplace(header.state);
    run_ = header.run;
    next_step_ = header.first_step;
  }

  void replay(const journal::SegmentReader& reader, const journal::Step& step) {
    if (step.number != next_step_) {
      Difference difference;
      difference.step = step.number;
      difference.text = "step " + std::to_string(next_step_) + " was expected here";
      return found(reader, std::move(difference));
    }
    ++next_step_;
    ++report_.steps;
    report_.actions += step.actions.size();
    actions_.clear();
    governor_->step(step.at, step.event, actions_);
    if (actions_ == step.actions || step_text(step, actions_) == step_text(step, step.actions))
      return;
    Difference difference;
    difference.step = step.number;
    difference.event = without_end(step_text(step, {}));
    difference.recorded = lines_of(step.actions);
    difference.replayed = lines_of(actions_);
    difference.text = "the core now does something else";
    found(reader, std::move(difference));
  }

  void found(const journal::SegmentReader& reader, Difference difference) {
    difference.file = reader.file().string();
    difference.line = reader.line();
    report_.difference = std::move(difference);
  }

  ReplayReport report_;
  std::optional<Governor> governor_;
  std::string run_;
  std::uint64_t next_step_ = 1;
  Actions actions_;
};

}  // namespace

Result<ReplayReport> replay_journal(const std::vector<fs::path>& files) {
  return Replay().run(files);
}

std::vector<fs::path> journal_files(const fs::path& file_or_folder) {
  std::error_code error;
  if (fs::is_directory(file_or_folder, error))
    return journal::segments_in(file_or_folder);
  return {file_or_folder};
}

}  // namespace tonnage
