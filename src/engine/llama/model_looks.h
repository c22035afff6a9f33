// ModelLooks: the only one who touches model files, in processes of their own with a deadline, so
// that a file on a mount that hangs holds back its own model and nothing else.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tick.h"
#include "engine/llama/model_look.h"
#include "process/runner.h"

namespace tonnage {

class ModelLooks {
 public:
  // An error: there was no answer in time, or no process.
  using Looked = std::function<void(Result<ModelLook>)>;

  // `program` does look_at_models(); by default this program itself.
  ModelLooks(boost::asio::io_context& io, ProcessRunner& runner,
             std::string program = "/proc/self/exe");

  // `done` is called once, never from within. Looks at one model are made one after the other;
  // while an earlier one hangs in the kernel, a further one fails at once.
  void look(const std::string& key, LookDepth depth, Looked done);
  // Makes the page cache forget the files of models, some time.
  void drop(const std::vector<std::string>& keys);

  // The last look at a model.
  const ModelLook* known(const std::string& key) const;
  void learn(const ModelLook& look);
  // Unix time of the last change of a model's main file, as it was last seen; else zero.
  std::int64_t changed_s(const std::string& key) const;

  // A spun-down disk or a network file system that wakes up takes some seconds.
  static constexpr Duration kLookMax = 10s;
  // Looks under way at once; more wait their turn.
  static constexpr std::size_t kAtOnceMax = 8;

 private:
  struct Waiting {
    std::string key;
    LookDepth depth;
    Looked done;
  };

  void begin_next();
  void begin(Waiting look);
  void end(const std::string& key, const Looked& done, Result<ModelLook> look);
  bool hangs(const std::string& key);

  boost::asio::io_context& io_;
  ProcessRunner& runner_;
  std::string program_;
  std::vector<Waiting> waiting_;
  std::set<std::string> under_way_;
  std::map<std::string, RunId> hanging_;  // killed, and perhaps not gone
  std::map<std::string, ModelLook> known_;
};

// Looks at all models and waits for it, but no longer than `wait_max`: those that are not among the
// answer hang. For the start and for the thread that reads the configuration again.
std::vector<ModelLook> look_at_all(const std::vector<std::string>& keys, LookDepth depth,
                                   Duration wait_max, std::string program = "/proc/self/exe");

}  // namespace tonnage
