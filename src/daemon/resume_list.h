// ResumeList: the models that were ready last, kept in a file for the next start.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "core/snapshot.h"
#include "process/workers.h"

namespace tonnage {

// Ids of the models that were ready, most recently used first; empty where there is no file or it
// says something else.
std::vector<std::string> read_resume_list(const std::filesystem::path& file);

// Ids of the models of `snapshot` that can answer, most recently used first.
std::vector<std::string> ready_models(const Snapshot& snapshot);

// Writes off the loop, a second after the last change, and never after close(): how a run ended is
// what the next one wants to know, not how it shut down.
class ResumeList {
 public:
  using Look = std::function<Snapshot()>;

  ResumeList(boost::asio::io_context& io, Workers& workers, std::filesystem::path file, Look look);

  // A model came or went.
  void changed();
  // The last word, at once.
  void close();

 private:
  void write();

  std::filesystem::path file_;
  Look look_;
  boost::asio::steady_timer timer_;
  Workers::Lane lane_;
  std::vector<std::string> written_;
  bool armed_ = false;
  bool closed_ = false;
};

}  // namespace tonnage
